"""The learning event as it arrives: JSON in, a typed and validated struct out. Source: design section 4.

Fields that the contract does not name are ignored, so that a producer may add some without breaking its readers.
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
from app.events.moment import parse_moment
from app.identifiers import Identifier
from app.mastery.evidence import Fraction

# An event has two; fields that nobody knows may have more. How many a decoder can read depends on how deep in calls it is
# itself (Python allows a thousand in all), and the worker must be able to read what was accepted elsewhere.
MAX_LEVELS = 100

# A million a event keeps 90 days of sums far below 2**53, where Lua's numbers stop being exact.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Total: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
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

EVENT_TYPES: Mapping[str, type[Envelope]] = {
    str(each.__struct_config__.tag): each for each in (CompletionEvent, QuizEvent, QualityEvent, ActivityEvent)
}

_decoder = msgspec.json.Decoder(Event)
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)


def decode_event(value: bytes | None, now: datetime) -> tuple[Event, datetime]:
    """The event in a record's value, and its moment in UTC.

    Raises InvalidInput, naming the field, for what can never be an event; it has all ``errors``.
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
    """How many objects and arrays are within each other, the outermost included."""
    deepest = level = 0
    for found in _TEXT_OR_BRACKET.finditer(value):
        if found[0] in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif found[0] in b"]}":
            level -= 1
    return deepest
