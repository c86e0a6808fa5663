"""The learning event as it arrives: JSON in, a typed and validated struct out. Source: design section 4.

Fields that the contract does not name are ignored, so that a producer may add some without breaking its readers.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from app.errors import InvalidInput
from app.identifiers import IDENTIFIER_RULE, Identifier

MAX_CLOCK_SKEW = timedelta(minutes=5)  # a producer's clock may run ahead by this much; more is a mistake

# A million a event keeps 90 days of sums far below 2**53, where Lua's numbers stop being exact.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Total: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
# Free text in any script, for people to read: it moves no cursor and ends no line (Unicode's C0 and C1 control characters).
Label: TypeAlias = Annotated[str, Meta(max_length=50, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]


class ExerciseCompletion(Struct, frozen=True):
    exercise_id: Identifier
    total_exercises: Total
    completed_exercises: Count

    def __post_init__(self) -> None:
        if self.completed_exercises > self.total_exercises:
            raise ValueError("completed_exercises must not exceed total_exercises")


class QuizPerformance(Struct, frozen=True):
    quiz_id: Identifier
    total_questions: Total
    correct_answers: Count

    def __post_init__(self) -> None:
        if self.correct_answers > self.total_questions:
            raise ValueError("correct_answers must not exceed total_questions")


class QualityAssessment(Struct, frozen=True):
    submission_id: Identifier
    code_quality_score: Fraction
    correctness_score: Fraction
    efficiency_score: Fraction
    peer_review_score: Fraction | None = None


class Activity(Struct, frozen=True):
    """Nothing is needed: that it happened is the evidence."""


class Envelope(Struct, frozen=True, kw_only=True, tag_field="event_type"):
    """What every event carries. ``timestamp`` is ISO 8601 with an offset, or epoch milliseconds."""

    event_id: UUID
    timestamp: str | int
    student_id: Identifier
    tenant_id: Identifier
    cohort_id: Identifier | None = None
    source: Label | None = None
    version: Label | None = None


class CompletionEvent(Envelope, frozen=True, kw_only=True, tag="exercise.completion.submitted"):
    data: ExerciseCompletion


class QuizEvent(Envelope, frozen=True, kw_only=True, tag="quiz.performance.submitted"):
    data: QuizPerformance


class QualityEvent(Envelope, frozen=True, kw_only=True, tag="quality.assessment.completed"):
    data: QualityAssessment


class ActivityEvent(Envelope, frozen=True, kw_only=True, tag="consistency.activity.recorded"):
    data: Activity = Activity()


Event: TypeAlias = CompletionEvent | QuizEvent | QualityEvent | ActivityEvent

_decoder = msgspec.json.Decoder(Event)


def decode_event(value: bytes | None, now: datetime) -> tuple[Event, datetime]:
    """The event in a record's value, and its moment in UTC.

    Raises InvalidInput, naming the field, for what can never be an event.
    """
    if value is None:
        raise InvalidInput("", "the record has no value")
    try:
        event = _decoder.decode(value)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        field = path.strip(".`")
        if "regex" in reason:  # which not every reader can read
            reason = IDENTIFIER_RULE if field.endswith("_id") else "must not have control characters"
        raise InvalidInput(field, reason) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("", "not JSON in UTF-8") from error
    return event, _moment(event.timestamp, now)


def _moment(timestamp: str | int, now: datetime) -> datetime:
    try:
        if isinstance(timestamp, int):
            moment = datetime.fromtimestamp(timestamp / 1000, UTC)
        else:
            moment = datetime.fromisoformat(timestamp)
            if moment.tzinfo is None:
                raise InvalidInput("timestamp", "needs an offset, such as Z")
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput("timestamp", "must be ISO 8601 with an offset, or epoch milliseconds") from error
    if moment - now > MAX_CLOCK_SKEW:
        raise InvalidInput("timestamp", "lies more than 5 minutes in the future")
    return moment
