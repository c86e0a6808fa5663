"""Whether a student needs help, and why: reasons that a teacher understands. Pure."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from app.mastery.trend import Trend, trend_of

INACTIVE_DAYS = 7  # a week without activity; shorter breaks are weekends and holidays
LOW_QUIZ = 0.5  # of the answers


class ReasonCode(StrEnum):
    """Why a student needs help."""

    FALLING = "falling"
    INACTIVE = "inactive"
    MISSED_EXERCISES = "missed_exercises"
    LOW_QUIZ = "low_quiz"
    NO_EVIDENCE = "no_evidence"
    LOW_MASTERY = "low_mastery"


class Reason(Struct, frozen=True):
    """A reason, for programs and for people."""

    code: ReasonCode
    text: str


class Signs(Struct, frozen=True, array_like=True):
    """What a teacher would look at.

    Attributes:
        slope: of the daily mastery, per day.
        inactive_days: since the latest activity; since the latest evidence if the platform told of no activity at all.
        completed, total: exercises of the latest completion; 0 of 0 without one.
        quiz: the share of correct answers, 0..1; None without a quiz.
        without_evidence: the names of components without evidence.
    """

    slope: float
    inactive_days: int
    completed: int
    total: int
    quiz: float | None
    without_evidence: list[str]


def reasons(signs: Signs, predicted: float, threshold: float) -> list[Reason]:
    """Why the student needs help; empty if the predicted score (0..1) is not below the threshold."""
    if predicted >= threshold:
        return []
    low = Reason(ReasonCode.LOW_MASTERY, f"Mastery in a week is expected to be {predicted:.2f}, below {threshold:.2f}.")
    return list(reasons_of(signs)) or [low]


def reasons_of(signs: Signs) -> Iterator[Reason]:
    """What stands out, whatever is predicted; nothing if all is well."""
    if trend_of(signs.slope) is Trend.DECLINING:
        yield Reason(ReasonCode.FALLING, f"Mastery is falling by {-signs.slope:.3f} a day.")
    if signs.inactive_days >= INACTIVE_DAYS:
        yield Reason(ReasonCode.INACTIVE, f"Inactive for {signs.inactive_days} days.")
    if missed := signs.total - signs.completed:
        yield Reason(ReasonCode.MISSED_EXERCISES, f"Exercises not done: {missed} of {signs.total}.")
    if signs.quiz is not None and signs.quiz < LOW_QUIZ:
        yield Reason(ReasonCode.LOW_QUIZ, f"Only {signs.quiz:.0%} of the quiz answers are correct.")
    if signs.without_evidence:
        yield Reason(ReasonCode.NO_EVIDENCE, f"No evidence at present: {', '.join(signs.without_evidence)}.")
