"""Predicts a student's mastery in seven days."""

from datetime import date, timedelta

from msgspec import Struct

from app.clock import day_date
from app.mastery.formula import DECIMALS
from app.mastery.trend import Trend
from app.predictions.error_quantiles import Interval
from app.predictions.forecast import WEEK, Forecast, Warned
from app.predictions.intervention import Reason, reasons


class NextWeek(Struct, frozen=True, kw_only=True):
    """Where a student will be in a week, and whether somebody should help. Scores are 0..1."""

    student_id: str
    cohort_id: str | None
    date: date
    predicted_score: float
    interval: Interval
    confidence: float
    trend: Trend
    slope_per_day: float
    intervention_needed: bool
    reasons: list[Reason]
    current_score: float
    model: str
    model_version: str
    days_of_history: int
    coverage: float
    stale: bool
    warnings: list[Warned]


def next_week(student_id: str, forecast: Forecast, threshold: float) -> NextWeek:
    """What a forecast says of the day in a week; help is needed if the score is below the threshold."""
    predicted = forecast.week_ahead
    return NextWeek(
        student_id=student_id,
        cohort_id=forecast.cohort_id,
        date=day_date(forecast.day) + timedelta(days=WEEK),
        predicted_score=predicted.score,
        interval=Interval(predicted.lower, predicted.upper, forecast.level),
        confidence=forecast.confidence,
        trend=forecast.trend,
        slope_per_day=round(forecast.signs.slope, DECIMALS),
        intervention_needed=predicted.score < threshold,
        reasons=reasons(forecast.signs, predicted.score, threshold),
        current_score=forecast.current,
        model=forecast.model,
        model_version=forecast.model_version,
        days_of_history=forecast.history_days,
        coverage=forecast.coverage,
        stale=forecast.is_stale,
        warnings=forecast.warnings,
    )
