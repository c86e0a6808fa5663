"""A student's forecast: what is computed once, stored in the cache, and told by the answers of both routes. Pure."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from app.clock import Day
from app.mastery.trend import FEWEST_DAYS, Trend
from app.predictions.confidence import STALE_DAYS
from app.predictions.forecast_errors import BASE
from app.predictions.intervention import Signs

WEEK = 7  # days ahead that "next week" is
MOST_DAYS = 30  # of a trajectory, into the past and into the future


class WarningCode(StrEnum):
    """What to know before relying on a forecast."""

    INSUFFICIENT_HISTORY = "insufficient_history"
    STALE = "stale"
    NO_LEARNED_MODEL = "no_learned_model"


class Warned(Struct, frozen=True):
    """A warning, for programs and for people."""

    code: WarningCode
    text: str


class Predicted(NamedTuple):
    """Mastery on a day to come, 0..1, and the interval around it."""

    score: float
    lower: float
    upper: float


class Forecast(Struct, frozen=True, array_like=True):
    """A forecast of a student's mastery, made on ``day``; some 1.3 KB, or 0.2 KB without ``past`` and ``future``.

    Attributes:
        day: the day, today when it was made.
        cohort_id: the student's cohort.
        current: today's mastery.
        week_ahead: mastery in seven days.
        past: daily mastery of up to the last 30 days since the first retained evidence; the last one is today's.
        future: mastery in 1 to 30 days. Both are empty if only the week was asked for.
        level: the probability of the intervals, 0..1.
        trend: of the regression over the last 30 days.
        history_days: days since the first retained evidence, that day included.
        idle_days: days since the latest evidence.
        coverage: sum of the weights of components with evidence, 0..1.
        confidence: 0..1, see ``confidence.py``.
        signs: of which a teacher may be told.
        model, model_version: what made it.
    """

    day: Day
    cohort_id: str | None
    current: float
    week_ahead: Predicted
    past: list[float]
    future: list[Predicted]
    level: float
    trend: Trend
    history_days: int
    idle_days: int
    coverage: float
    confidence: float
    signs: Signs
    model: str
    model_version: str

    @property
    def is_stale(self) -> bool:
        """Whether there was no evidence for two weeks."""
        return self.idle_days >= STALE_DAYS

    @property
    def warnings(self) -> list[Warned]:
        """What to know before relying on it."""
        found = []
        if not has_history(self.history_days):
            text = f"Days of history: {self.history_days}, {FEWEST_DAYS} are needed. This is the current score."
            found.append(Warned(WarningCode.INSUFFICIENT_HISTORY, text))
        if self.is_stale:
            found.append(Warned(WarningCode.STALE, f"There was no evidence for {self.idle_days} days."))
        if self.model == BASE:
            text = "The base model answers: no learned model has proved better for these students."
            found.append(Warned(WarningCode.NO_LEARNED_MODEL, text))
        return found


def has_history(history_days: int) -> bool:
    """Whether there are enough days of history for a forecast."""
    return history_days >= FEWEST_DAYS
