"""Where mastery is heading: the least-squares slope of the latest daily mastery.

    slope = Σ (x − x̄)·y / Σ (x − x̄)²      x: 0..n−1, the oldest day first; y: mastery on that day; unit: mastery per day

Of the last 14 days those count that lie on or after the first retained evidence: before it nothing is known, which is not
mastery 0. Fewer than three of them are no trend. Source: design section 3.
"""

from collections.abc import Mapping
from enum import StrEnum

from app.clock import Day

TREND_DAYS = 14
FEWEST_DAYS = 3
STABLE_WITHIN = 0.002  # mastery per day


class Trend(StrEnum):
    """The sign of the slope."""

    IMPROVING = "improving"
    STABLE = "stable"
    DECLINING = "declining"


def slope(daily: Mapping[Day, float], last: Day) -> float:
    """Mastery per day over the 14 days that end on ``last``, as far as ``daily`` reaches back; 0 for fewer than three days.

    ``daily`` has every day from the first retained evidence to ``last``.
    """
    days = min(TREND_DAYS, len(daily))
    if days < FEWEST_DAYS:
        return 0.0
    first, mean = last - days + 1, (days - 1) / 2
    squares = days * (days * days - 1) / 12  # Σ (x − x̄)² of 0..n−1
    return sum((x - mean) * daily[first + x] for x in range(days)) / squares


def trend(daily: Mapping[Day, float], last: Day) -> Trend:
    """Improving or declining where the slope is steeper than 0.002 a day, else stable."""
    steepness = slope(daily, last)
    if abs(steepness) <= STABLE_WITHIN:
        return Trend.STABLE
    return Trend.IMPROVING if steepness > 0 else Trend.DECLINING
