"""Predicts a student's mastery day by day."""

from datetime import date, timedelta
from itertools import pairwise

from msgspec import Struct

from app.clock import day_date
from app.mastery.formula import DECIMALS
from app.mastery.trend import Trend
from app.predictions.error_quantiles import Interval
from app.predictions.forecast import Forecast, Warned


class PastPoint(Struct, frozen=True):
    """Mastery on a day, 0..1."""

    date: date
    score: float


class FuturePoint(Struct, frozen=True):
    """Mastery that is predicted for a day, 0..1."""

    date: date
    predicted_score: float
    interval: Interval


class Trajectory(Struct, frozen=True, kw_only=True):
    """How a student's mastery was in the last month, and how it may go on. Scores are 0..1."""

    student_id: str
    cohort_id: str | None
    past: list[PastPoint]
    future: list[FuturePoint]
    threshold: float
    falls_below_threshold_on: date | None
    confidence: float
    trend: Trend
    slope_per_day: float
    current_score: float
    model: str
    model_version: str
    days_of_history: int
    coverage: float
    stale: bool
    warnings: list[Warned]


def trajectory(student_id: str, forecast: Forecast, days: int, threshold: float) -> Trajectory:
    """What a forecast says of each of the next days, at most 30, and when mastery first falls below the threshold."""
    today = day_date(forecast.day)
    past = [PastPoint(today - timedelta(days=ago), score) for ago, score in enumerate(reversed(forecast.past))]
    future = [
        FuturePoint(today + timedelta(days=ahead), each.score, Interval(each.lower, each.upper, forecast.level))
        for ahead, each in enumerate(forecast.future[:days], start=1)
    ]
    return Trajectory(
        student_id=student_id,
        cohort_id=forecast.cohort_id,
        past=past[::-1],
        future=future,
        threshold=threshold,
        falls_below_threshold_on=_falls_below(forecast.current, future, threshold),
        confidence=forecast.confidence,
        trend=forecast.trend,
        slope_per_day=round(forecast.signs.slope, DECIMALS),
        current_score=forecast.current,
        model=forecast.model,
        model_version=forecast.model_version,
        days_of_history=forecast.history_days,
        coverage=forecast.coverage,
        stale=forecast.is_stale,
        warnings=forecast.warnings,
    )


def _falls_below(current: float, future: list[FuturePoint], threshold: float) -> date | None:
    """The first day whose score is below the threshold after one that is not."""
    scores = [current, *(each.predicted_score for each in future)]
    falls = (each.date for each, (before, after) in zip(future, pairwise(scores), strict=True) if after < threshold <= before)
    return next(falls, None)
