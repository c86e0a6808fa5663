"""Statistics of the scores of a batch. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import fmean, quantiles

from app.batches.batch import Summary
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.formula import DECIMALS, FLOORS, Level


def summarize(scores: Iterable[float]) -> Summary | None:
    """Summarize scores, 0..1.

    The quartiles are interpolated linearly between the closest scores (type 7 of Hyndman and Fan, 1996). The standard deviation
    is that of the population, since the batch has everyone whom it is about.

    Returns:
        The statistics, rounded to 6 decimals; None of fewer than ``FEWEST_IN_STATISTICS`` scores.
    """
    ordered = sorted(scores)
    if len(ordered) < FEWEST_IN_STATISTICS:
        return None
    lower, median, upper = quantiles(ordered, n=4, method="inclusive")
    mean = fmean(ordered)
    # statistics.pstdev computes with fractions, which takes a second for a million scores; six decimals need no more than this.
    deviation = sqrt(fmean((score - mean) ** 2 for score in ordered))
    return Summary(
        mean=round(mean, DECIMALS),
        median=round(median, DECIMALS),
        standard_deviation=round(deviation, DECIMALS),
        lower_quartile=round(lower, DECIMALS),
        upper_quartile=round(upper, DECIMALS),
        levels=_levels(ordered),
    )


def _levels(scores: Sequence[float]) -> dict[str, int]:
    """How many scores each level has; they are sorted, so none needs to be classified alone."""
    starts = [*(bisect_left(scores, FLOORS[level]) for level in Level), len(scores)]
    return {level.value: starts[at + 1] - starts[at] for at, level in enumerate(Level)}
