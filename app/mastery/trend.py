"""Where mastery is heading: the least-squares slope of the daily mastery of the last 14 days.

    slope = Σ (x − x̄)·y / Σ (x − x̄)²      x: 0..13, oldest first; y: mastery on that day; unit: mastery per day

A day before the first evidence has mastery 0, as the formula says. Source: design section 3.
"""

from collections.abc import Mapping
from enum import StrEnum

from app.clock import Day

TREND_DAYS = 14
STABLE_WITHIN = 0.002  # mastery per day

_CENTRED = [x - (TREND_DAYS - 1) / 2 for x in range(TREND_DAYS)]
_SQUARES = sum(x * x for x in _CENTRED)


class Trend(StrEnum):
    """The sign of the slope."""

    IMPROVING = "improving"
    STABLE = "stable"
    DECLINING = "declining"


def slope(daily: Mapping[Day, float], last: Day) -> float:
    """Mastery per day over the 14 days that end on ``last``."""
    first = last - TREND_DAYS + 1
    return sum(x * daily.get(first + i, 0.0) for i, x in enumerate(_CENTRED)) / _SQUARES


def trend(daily: Mapping[Day, float], last: Day) -> Trend:
    """Improving or declining where the slope is steeper than 0.002 a day, else stable."""
    steepness = slope(daily, last)
    if abs(steepness) <= STABLE_WITHIN:
        return Trend.STABLE
    return Trend.IMPROVING if steepness > 0 else Trend.DECLINING
