"""A forecast as it is recorded until its day has ended, and how far it was off then. Pure."""

from typing import NamedTuple

import numpy as np
from msgspec import Struct

from app.clock import Day
from app.mastery.components import window_components, window_on
from app.mastery.fact_store import StudentRecord
from app.mastery.formula import mastery_score
from app.predictions.forecast import WEEK, Forecast
from app.predictions.forecast_errors import ForecastErrors, errors_of


class RecordedForecast(Struct, frozen=True, array_like=True):
    """What was forecast of a student for a day, a week ahead; some 60 bytes.

    ``score`` is the predicted mastery, ``lower`` and ``upper`` its interval, all 0..1; ``cohort_id`` is the student's cohort
    when it was made.
    """

    score: float
    lower: float
    upper: float
    cohort_id: str | None
    model: str
    model_version: str


class Origin(NamedTuple):
    """What made forecasts for a day: the statistics of accuracy are kept for each of these."""

    day: Day
    model: str
    model_version: str


def recorded(forecast: Forecast) -> RecordedForecast:
    """What is recorded of a forecast: what it says of the mastery in a week."""
    return RecordedForecast(*forecast.week_ahead, forecast.cohort_id, forecast.model, forecast.model_version)


def target_day(forecast: Forecast) -> Day:
    """The day whose mastery is recorded."""
    return forecast.day + WEEK


def outcome_on(record: StudentRecord, day: Day, retention_days: int) -> float:
    """The mastery of a day, 0..1, from the facts of its window that are still there."""
    return mastery_score(window_components(window_on(record.days, day, retention_days)))


def error_of(made: RecordedForecast, outcome: float) -> ForecastErrors:
    """How far the forecast was off."""
    return errors_of(*(np.array([value]) for value in (made.score, outcome, made.lower, made.upper)))
