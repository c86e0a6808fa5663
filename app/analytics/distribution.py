"""How the values of a cohort are distributed, and the place of one value among them. Pure.

Rankings are in whole millionths, and their sums are integers, so the results do not depend on how the rankings came about:

    mean                = total / n
    standard deviation  = √(n · squares − total²) / n, of the population
    quartile q          = linear interpolation at rank q · (n − 1), counted from 0
    percentile          = 100 · (below + equal / 2) / n

Quartiles are those of ``numpy.quantile`` and ``statistics.quantiles(method="inclusive")``, the percentile is that of
``scipy.stats.percentileofscore(kind="mean")``.
"""

import math
from typing import NamedTuple

from msgspec import Struct

from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import DECIMALS
from app.mastery.rankings import Ranking

PERCENTILE_DECIMALS = 4  # tells students apart in cohorts of up to a million


class Distribution(Struct, frozen=True):
    """The distribution of a cohort's values, each 0..1."""

    students: int
    mean: float
    median: float
    lower_quartile: float
    upper_quartile: float
    standard_deviation: float


class Place(NamedTuple):
    """Where a value lies in a ranking.

    Attributes:
        percentile: 0..100, 100 is best.
        rank: 1 is best; students with equal values share the better rank. That of a value from outside the ranking may be
            ``total`` + 1.
        total: students in the ranking.
    """

    percentile: float
    rank: int
    total: int


def distribution(ranking: Ranking, decimals: int = DECIMALS) -> Distribution | None:
    """The distribution of a ranking's values, rounded; None if it has too few students for statistics."""
    count, total, squares = ranking.students, ranking.total, ranking.squares
    if count < FEWEST_IN_STATISTICS:
        return None
    lower, median, upper = (
        low + (high - low) * (quarter * (count - 1) % 4) / 4 for quarter, (low, high) in enumerate(ranking.quartiles, start=1)
    )
    return Distribution(
        count,
        mean=mean(total, count, decimals),
        median=_fraction(median, decimals),
        lower_quartile=_fraction(lower, decimals),
        upper_quartile=_fraction(upper, decimals),
        standard_deviation=_fraction(math.sqrt(count * squares - total * total) / count, decimals),
    )


def mean(total: int, count: int, decimals: int = DECIMALS) -> float:
    """The mean of ``count`` values, at least one, from their sum in millionths: 0..1, rounded."""
    return _fraction(total / count, decimals)


def place(ranking: Ranking) -> Place | None:
    """The place of the ranking's ``value``; None without one, or if the ranking has too few students for statistics."""
    count, below, equal = ranking.students, ranking.below, ranking.equal
    if ranking.value is None or count < FEWEST_IN_STATISTICS:
        return None
    percentile = round((below + equal / 2) / count * 100, PERCENTILE_DECIMALS)
    return Place(percentile, 1 + count - below - equal, count)


def _fraction(millionths: float, decimals: int) -> float:
    """Millionths as a fraction. They are made whole first: a half is exact in them, and rounds in the same way everywhere."""
    return round(round(millionths) / MILLIONTHS, decimals)
