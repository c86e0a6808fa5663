"""Intervals from past errors: quantiles of signed errors, by group of evidence. Pure."""

from typing import NamedTuple

from app.predictions.conformal import conformal_quantile
from app.predictions.daily_history import Floats, Ints
from app.predictions.evidence_groups import PerGroup, per_group
from app.predictions.learned_model import Forecasts, bounded, wanted_share


class Quantiles(NamedTuple):
    """How far outcomes were below and above the forecast (negative: all of them were on the other side)."""

    lower: PerGroup
    upper: PerGroup

    def around(self, point: Floats, group: Ints) -> Forecasts:
        """Forecasts with intervals in which outcomes of the same groups were."""
        return bounded(point, point - self.lower.of(group), point + self.upper.of(group))


def error_quantiles(point: Floats, outcome: Floats, group: Ints, part: Ints) -> Quantiles:
    """The quantiles of the errors of past forecasts, (forecasts) each; at least one. ``part``: see ``margins``."""

    def end(errors: Floats) -> PerGroup:
        def quantile(rows: Ints, settled: bool) -> float:
            return conformal_quantile(errors[rows], (1 + wanted_share(part[rows], settled)) / 2)

        return per_group(group, quantile)

    return Quantiles(end(point - outcome), end(outcome - point))
