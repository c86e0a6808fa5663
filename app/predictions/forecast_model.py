"""What a model of forecasts is, and the base model as one."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from app.clock import Day
from app.mastery.fact_store import StudentRecord
from app.predictions.error_quantiles import IntervalTable, decode_table
from app.predictions.forecast import Predicted
from app.predictions.forecast_errors import BASE

# With each change of the equation, the damping or the table: cached forecasts of another version are not used.
BASE_VERSION = "2"


class ForecastModel(Protocol):
    """A model that forecasts mastery in seven days; it may correct what the base model says."""

    @property
    def name(self) -> str:
        """What kind of model it is."""
        ...

    @property
    def version(self) -> str:
        """Which of these: different for models that forecast differently."""
        ...

    def week_ahead(self, record: StudentRecord, today: Day, base: Predicted, /) -> Predicted:
        """Mastery in seven days, from the facts; ``base`` is the base model's forecast. Lower ≤ score ≤ upper, 0..1."""
        ...


# Tenant, cohort, day → the model that answers for its students on that day.
Models: TypeAlias = Callable[[str, str | None, Day], ForecastModel]


class BaseModel(NamedTuple):
    """The base model, which corrects nothing."""

    name: str = BASE
    version: str = BASE_VERSION

    def week_ahead(self, _record: StudentRecord, _today: Day, base: Predicted, /) -> Predicted:
        """The base model's forecast."""
        return base


BASE_MODEL: ForecastModel = BaseModel()


def base_model(_tenant: str, _cohort: str | None, _day: Day) -> ForecastModel:
    """The model of an engine that has learned nothing yet."""
    return BASE_MODEL


@cache
def base_intervals() -> IntervalTable:
    """The past errors of the base model, with which an engine without past forecasts begins.

    Source: 1,268,946 origins (every student and day with evidence) of the Open University Learning Analytics Dataset (Kuzilek,
    Hlosta, Zdrahal, Scientific Data 4:170171, 2017; CC BY 4.0). Groups with fewer than 200 origins are left out. On these data
    80 % intervals of a week cover 83.8 %, and at least 79 % in each group by either trend. docs/decisions/0028-forecasts.md.

    Returns:
        The table.
    """
    return decode_table(Path(__file__).with_name("base_intervals.json").read_bytes())
