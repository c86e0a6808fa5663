"""How far forecasts were off, as sums that add up, and which method was best. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from app.predictions.daily_history import Floats

# A forecast counts as close if it is off by at most this.
CLOSE_WITHIN = 0.10
# A more complex method has to be better by more than this share; and none may be worse than "stays as it is" by more.
TOLERANCE = 0.01
# Fewer past forecasts say nothing about a cohort: 500 are some students over a month, which is what a verdict needs.
FEWEST_FORECASTS = 500

# Methods, the simplest first. The first one is what the others are compared with.
LAST_VALUE, BASE, LEARNED = "last value", "base", "learned"
METHODS = (LAST_VALUE, BASE, LEARNED)


class ForecastErrors(NamedTuple):
    """Sums over forecasts: of absolute and squared errors (of scores 0..1), close ones, and outcomes inside the interval."""

    number: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    close: int = 0
    inside: int = 0

    @property
    def mae(self) -> float:
        """Mean absolute error; 0 without forecasts."""
        return self.absolute / self.number if self.number else 0.0

    @property
    def rmse(self) -> float:
        """Root of the mean squared error; 0 without forecasts."""
        return float((self.squared / self.number) ** 0.5) if self.number else 0.0

    @property
    def within_010(self) -> float:
        """The share of forecasts within ± ``CLOSE_WITHIN``; 0 without forecasts."""
        return self.close / self.number if self.number else 0.0

    @property
    def interval_coverage(self) -> float:
        """The share of outcomes inside the interval; 0 without forecasts."""
        return self.inside / self.number if self.number else 0.0

    def plus(self, other: "ForecastErrors") -> "ForecastErrors":
        """The sums of both."""
        return ForecastErrors._make(a + b for a, b in zip(self, other, strict=True))

    def scaled(self, number: int) -> "ForecastErrors":
        """What these sums would be of another number of forecasts with the same means; about, since counts are whole."""
        share = number / self.number if self.number else 0.0
        return ForecastErrors(
            number, self.absolute * share, self.squared * share, round(self.close * share), round(self.inside * share)
        )


def errors_of(point: Floats, outcome: Floats, lower: Floats | None = None, upper: Floats | None = None) -> ForecastErrors:
    """The errors of forecasts, (forecasts) each; without an interval, no outcome is inside."""
    missed = np.abs(point - outcome)
    inside = 0 if lower is None or upper is None else int(((outcome >= lower) & (outcome <= upper)).sum())
    # Scores have six decimals; a difference of exactly 0.1 is close, whatever binary fractions make of it.
    close = int((missed <= CLOSE_WITHIN + 1e-9).sum())
    return ForecastErrors(len(point), float(missed.sum()), float((missed * missed).sum()), close, inside)


def best_method(errors: Mapping[str, ForecastErrors]) -> str | None:
    """Choose the best method from the past errors of the ``METHODS`` that there are, all of the same forecasts.

    Returns:
        The method with the lowest mean absolute error, but a simpler one if that is not better by more than ``TOLERANCE``, and
        none that is worse than "stays as it is"; None if there are too few forecasts to tell.
    """
    last = errors[LAST_VALUE]
    if last.number < FEWEST_FORECASTS:
        return None
    best = LAST_VALUE
    for method in METHODS[1:]:
        if method in errors:
            found = errors[method]
            if found.mae < errors[best].mae * (1 - TOLERANCE) and found.rmse <= last.rmse * (1 + TOLERANCE):
                best = method
    return best
