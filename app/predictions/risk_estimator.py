"""What estimates the risk of students, and the table as one: of an engine that has learned nothing yet."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from app.clock import Day
from app.predictions.base_risk import base_risk_of
from app.predictions.daily_history import Floats
from app.predictions.forecast_errors import BASE
from app.predictions.origins import Origins

# With each change of the table: lists that another version made are not used.
BASE_RISK_VERSION = "1"


class RiskEstimator(Protocol):
    """A model that estimates the probability of being at risk, as ``risk.py`` says what that is."""

    @property
    def name(self) -> str:
        """What kind of model it is."""
        ...

    @property
    def version(self) -> str:
        """Which of these."""
        ...

    def probability(self, of: Origins, /) -> Floats:
        """The probability of each origin, 0..1."""
        ...


RiskEstimators: TypeAlias = Callable[[str, Day], RiskEstimator]  # tenant, day → what estimates the risk of its students


class BaseRisk(NamedTuple):
    """The table of ``base_risk.py``."""

    name: str = BASE
    version: str = BASE_RISK_VERSION

    def probability(self, of: Origins, /) -> Floats:
        """What the table says."""
        return base_risk_of(of)


BASE_RISK: RiskEstimator = BaseRisk()
