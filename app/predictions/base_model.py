"""The base model: mastery in h days, from what is known to leave the retention window and a part of the trend. Pure.

    forecast(h) = carried(h) + DAMPING · h · slope        clipped to 0..1, rounded to six decimals

``carried(h)``  mastery h days ahead if nothing new came but activity as today: completion, quiz and quality without the
                evidence that has left the window by then, and consistency as it is
``slope``       mastery per day: least-squares regression of the daily mastery on the last 30 days since the first retained
                evidence; 0 for fewer than three days. ``scipy.stats.linregress`` for one student, sums for many

Source: a damped trend (Gardner, McKenzie: Forecasting trends in time series, Management Science 31 (10), 1985). Back-tests set
the damping. Over 1,268,946 origins of the OULAD data, 7 days ahead, "stays as it is" has MAE .03504 and RMSE .10895, and:

    damping   0        0.02     0.05     0.1      0.2      0.3
    MAE       .02965   .02985   .03021   .03099   .03283   .03481
    RMSE      .10139   .10135   .10133   .10137   .10172   .10238

So nothing of the slope is followed: 0.05 would lower the RMSE by 0.06 % and raise the MAE by 2 %. While an engine is new,
nothing can leave the window, and the slope would be all that tells the base model from "stays as it is": in the seventh to
fourteenth week, 0.02 has 1.5 % more MAE than that, and in one cohort 3 %, with the same RMSE.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from app.clock import Day
from app.mastery.components import window_components, window_on
from app.mastery.facts import DayFacts, first_retained_day
from app.mastery.formula import DECIMALS, Components, mastery_score
from app.mastery.trend import FEWEST_DAYS
from app.predictions.daily_history import Floats

REGRESSION_DAYS = 30
DAMPING = 0.0


def regression_slope(daily: Sequence[float]) -> float:
    """The slope of one student's daily mastery, oldest first; 0 for fewer than three days."""
    if len(daily) < FEWEST_DAYS:
        return 0.0
    # It takes most of a second and 75 MB, which only workers pay; the API imports this module too.
    from scipy import stats  # noqa: PLC0415

    return float(stats.linregress(range(len(daily)), daily).slope)


def regression_slopes(daily: Floats) -> Floats:
    """The slope of each student's daily mastery: (students, days) → (students,); unit: mastery per day.

    The last column is today; NaN before a student's first evidence.

    Returns:
        The slopes; 0 for a student with fewer than three days.
    """
    is_known = ~np.isnan(daily)
    count = is_known.sum(axis=1)
    x = np.arange(daily.shape[1]) * is_known
    y = np.nan_to_num(daily)
    mean = x.sum(axis=1) / np.maximum(count, 1)
    squares = (x * x).sum(axis=1) - count * mean * mean
    products = (x * y).sum(axis=1) - mean * y.sum(axis=1)
    return np.asarray(np.where(count >= FEWEST_DAYS, products / np.where(count >= FEWEST_DAYS, squares, 1.0), 0.0))


def base_forecasts(carried: Floats, slopes: Floats, horizons: Sequence[int]) -> Floats:
    """The equation for many students: (students, horizons) and (students,) → (students, horizons); horizons in days."""
    drift = DAMPING * np.outer(slopes, np.asarray(horizons, np.float64))
    return np.asarray(np.round(np.clip(carried + drift, 0.0, 1.0), DECIMALS))


def carried_scores(
    days: Mapping[Day, DayFacts], today: Day, components: Components, horizons: Sequence[int], retention_days: int
) -> list[float]:
    """Mastery of one student at each horizon if nothing new came but activity as today; ``components`` are those of today."""
    scores: list[float] = []
    known, score = -1, 0.0
    for horizon in horizons:
        first = first_retained_day(today + horizon, retention_days)
        left = sum(day >= first for day in days)
        if left != known:  # else nothing has left the window since the horizon before
            of_then = window_components(window_on(days, today + horizon, retention_days))
            score, known = mastery_score(of_then._replace(consistency=components.consistency)), left
        scores.append(score)
    return scores
