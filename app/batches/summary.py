"""Statistics of the scores of a batch. Pure."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, quantiles

from app.batches.batch import Summary
from app.mastery.formula import DECIMALS, Level, classify


def summarize(scores: Sequence[float]) -> Summary | None:
    """Summarize scores, 0..1.

    The quartiles are interpolated linearly between the closest scores (type 7 of Hyndman and Fan, 1996). The standard deviation
    is that of the population, since the batch has everyone whom it is about.

    Returns:
        The statistics, rounded to 6 decimals; None without scores.
    """
    if not scores:
        return None
    lower, median, upper = quantiles(scores, n=4, method="inclusive") if len(scores) > 1 else [scores[0]] * 3
    mean = fmean(scores)
    # statistics.pstdev computes with fractions, which takes a second for a million scores; six decimals need no more than this.
    deviation = sqrt(fmean((score - mean) ** 2 for score in scores))
    counted = Counter(classify(score) for score in scores)
    return Summary(
        mean=round(mean, DECIMALS),
        median=round(median, DECIMALS),
        standard_deviation=round(deviation, DECIMALS),
        lower_quartile=round(lower, DECIMALS),
        upper_quartile=round(upper, DECIMALS),
        levels={level.value: counted[level] for level in Level},
    )
