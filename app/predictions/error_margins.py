"""Intervals from past errors: quantiles of signed errors, by group of evidence. Pure."""

from typing import NamedTuple

import numpy as np

from app.predictions.daily_history import Floats, Ints
from app.predictions.evidence_groups import FEWEST_ERRORS, GROUPS_PER_SET, per_group
from app.predictions.learned_model import INTERVAL_LEVEL, Forecasts, bounded

_TAIL = (1 - INTERVAL_LEVEL) / 2


class _End(NamedTuple):
    """One end of the intervals, relative to the point: by group, by set of components, and for all others."""

    groups: dict[int, float]
    sets: dict[int, float]
    overall: float


class Quantiles(NamedTuple):
    """The lower and the upper end of past errors (outcome − forecast)."""

    lower: _End
    upper: _End

    def around(self, point: Floats, group: Ints) -> Forecasts:
        """Forecasts with intervals in which outcomes of the same groups were."""
        low, high = (per_group(*end, group) for end in self)
        return bounded(point, point + low, point + high)


def error_quantiles(point: Floats, outcome: Floats, group: Ints) -> Quantiles:
    """The quantiles of the errors of past forecasts, (forecasts) each; at least one."""
    missed, sets = outcome - point, group // GROUPS_PER_SET
    return Quantiles._make(
        _End(_by(missed, group, share), _by(missed, sets, share), float(np.quantile(missed, share)))
        for share in (_TAIL, 1 - _TAIL)
    )


def _by(missed: Floats, group: Ints, share: float) -> dict[int, float]:
    names, counts = np.unique(group, return_counts=True)
    return {name: float(np.quantile(missed[group == name], share)) for name in names[counts >= FEWEST_ERRORS].tolist()}
