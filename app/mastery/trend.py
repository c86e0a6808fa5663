"""The trend of mastery: the least-squares slope of the latest daily values; and the mean of all of them.

    slope = Σ (x − x̄)·y / Σ (x − x̄)²      x: 0..n−1, the oldest day first; y: mastery on that day; unit: mastery per day

Only days from the first retained evidence on count, of the last 14: before it, mastery is unknown, not 0. Fewer than three
days make no trend. Source: design section 3.
"""

from collections.abc import Mapping
from enum import StrEnum

from app.clock import Day
from app.mastery.formula import DECIMALS

TREND_DAYS = 14
FEWEST_DAYS = 3
STABLE_WITHIN = 0.002  # mastery per day


class Trend(StrEnum):
    """The sign of the slope."""

    IMPROVING = "improving"
    STABLE = "stable"
    DECLINING = "declining"


def slope(daily: Mapping[Day, float], last: Day) -> float:
    """Slope of the up to 14 days that end on ``last``. ``daily`` has every day from the first retained evidence to ``last``.

    Returns:
        Mastery per day; 0 for fewer than three days.
    """
    days = min(TREND_DAYS, len(daily))
    if days < FEWEST_DAYS:
        return 0.0
    first, mean = last - days + 1, (days - 1) / 2
    squares = days * (days * days - 1) / 12  # Σ (x − x̄)² of 0..n−1
    return sum((x - mean) * daily[first + x] for x in range(days)) / squares


def trend(daily: Mapping[Day, float], last: Day) -> Trend:
    """Improving or declining if the slope exceeds ±0.002 per day, else stable."""
    return trend_of(slope(daily, last))


def trend_of(steepness: float) -> Trend:
    """The trend of a slope (mastery per day)."""
    if abs(steepness) <= STABLE_WITHIN:
        return Trend.STABLE
    return Trend.IMPROVING if steepness > 0 else Trend.DECLINING


def historical_average(daily: Mapping[Day, float]) -> float:
    """Mean of the daily mastery since the first retained evidence, 0..1, rounded to 6 decimals. ``daily`` is not empty."""
    return round(sum(daily.values()) / len(daily), DECIMALS)
