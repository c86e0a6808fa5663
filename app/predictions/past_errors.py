"""Intervals from past errors: quantiles of signed errors, by group of evidence. Pure."""

from typing import NamedTuple

import numpy as np

from app.predictions.daily_history import Floats, Ints
from app.predictions.evidence_groups import PerGroup, per_group
from app.predictions.learned_model import INTERVAL_LEVEL, Forecasts, bounded

_TAIL = (1 - INTERVAL_LEVEL) / 2


class Quantiles(NamedTuple):
    """The lower and the upper end of past errors (outcome − forecast)."""

    lower: PerGroup
    upper: PerGroup

    def around(self, point: Floats, group: Ints) -> Forecasts:
        """Forecasts with intervals in which outcomes of the same groups were."""
        return bounded(point, point + self.lower.of(group), point + self.upper.of(group))


def error_quantiles(point: Floats, outcome: Floats, group: Ints) -> Quantiles:
    """The quantiles of the errors of past forecasts, (forecasts) each; at least one."""

    def quantile(share: float) -> PerGroup:
        return per_group(outcome - point, group, lambda errors, _settled: float(np.quantile(errors, share)))

    return Quantiles(quantile(_TAIL), quantile(1 - _TAIL))
