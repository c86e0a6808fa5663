"""What an event is evidence of, reduced to what the store keeps. Sums are integers, so that order never matters.

An observation is a flat tuple, the form in which it travels to ``merge_evidence.lua``::

    (mark, day, kind, first, second, stamp, event_id, cohort_id)

``mark``      8 bytes that stand for the event_id within one student; equal ids have equal marks
``day``       days since 1970-01-01, UTC
``kind``      one of the four constants below
``first``     completed exercises | correct answers | quality in millionths | 0
``second``    total exercises | questions asked | 1 | 0
``stamp``     microseconds since 1970-01-01: orders completions and cohorts
``event_id``  16 bytes: orders what has the same stamp
``cohort_id`` or "" where the event names none
"""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TypeAlias

from app.clock import Day, day_number
from app.events.event import CompletionEvent, Event, QualityAssessment, QualityEvent, QuizEvent

COMPLETION, QUIZ, QUALITY, ACTIVITY = range(4)
MILLIONTHS = 1_000_000
MARK_BYTES = 8  # 1,000 events of one student collide with a chance of 3e-14: see docs/decisions/0003

Observation: TypeAlias = tuple[bytes, Day, int, int, int, int, bytes, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def observe(event: Event, moment: datetime) -> Observation:
    """The observation that an event makes at a moment (UTC)."""
    kind, first, second = _evidence(event)
    event_id = event.event_id.bytes
    mark = blake2b(event_id, digest_size=MARK_BYTES).digest()
    stamp = (moment - _EPOCH) // _MICROSECOND
    return mark, day_number(moment), kind, first, second, stamp, event_id, event.cohort_id or ""


def _evidence(event: Event) -> tuple[int, int, int]:
    if isinstance(event, CompletionEvent):
        return COMPLETION, event.data.completed_exercises, event.data.total_exercises
    if isinstance(event, QuizEvent):
        return QUIZ, event.data.correct_answers, event.data.total_questions
    if isinstance(event, QualityEvent):
        return QUALITY, _quality_millionths(event.data), 1
    return ACTIVITY, 0, 0


def _quality_millionths(data: QualityAssessment) -> int:
    scores = [data.code_quality_score, data.correctness_score, data.efficiency_score]
    if data.peer_review_score is not None:
        scores.append(data.peer_review_score)
    return round(sum(scores) / len(scores) * MILLIONTHS)
