"""Decodes learning events: from JSON to a typed and validated struct. Source: design section 4.

Unknown fields are ignored, so that producers may add fields.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from app.errors import InvalidInput
from app.events.decode_by_field import decode_by_field
from app.events.event_timestamp import parse_moment
from app.identifiers import Identifier
from app.mastery.evidence import Fraction

# An event has two levels; unknown fields may add more. Python's recursion limit of a thousand calls includes the decoder's
# callers, so without a fixed limit a worker might be unable to decode what another process accepted.
MAX_LEVELS = 100
MAX_EVENT_BYTES = 900_000  # Kafka's limit for a message is 1 MB by default, including headers and key

# With at most a million per event, sums over 90 days stay far below 2**53, up to which Lua's numbers are exact.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Total: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
# Free text in any script, without Unicode's C0 and C1 control characters.
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
    """Empty: the event itself is the evidence."""


class Envelope(Struct, frozen=True, kw_only=True, tag_field="event_type"):
    """The fields of every event. ``timestamp`` is ISO 8601 with an offset, or epoch milliseconds."""

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

EVENT_TYPES: Mapping[str, type[Envelope]] = {
    str(each.__struct_config__.tag): each for each in (CompletionEvent, QuizEvent, QualityEvent, ActivityEvent)
}

_decoder = msgspec.json.Decoder(Event)
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)


def decode_event(value: bytes | None, now: datetime) -> tuple[Event, datetime]:
    """Decode and validate an event.

    Returns:
        The event, and its moment in UTC.

    Raises:
        InvalidInput: The value is not a valid event; ``errors`` has all errors, with their fields.
    """
    if value is None:
        raise InvalidInput("", "the record has no value")
    if value.count(b"[") + value.count(b"{") > MAX_LEVELS and _levels(value) > MAX_LEVELS:
        raise InvalidInput("", f"is nested deeper than {MAX_LEVELS} levels")
    try:
        event = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        checks = {"timestamp": partial(parse_moment, now=now)}
        event = decode_by_field(value, EVENT_TYPES, Envelope, checks)
    return event, parse_moment(event.timestamp, now)


def _levels(value: bytes) -> int:
    """The nesting depth of objects and arrays."""
    deepest = level = 0
    for found in _TEXT_OR_BRACKET.finditer(value):
        if found[0] in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif found[0] in b"]}":
            level -= 1
    return deepest
