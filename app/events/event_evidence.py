"""Converts learning events to evidence."""

from datetime import datetime
from hashlib import blake2b
from typing import assert_never

from app.clock import day_number, microseconds
from app.events.event import ActivityEvent, CompletionEvent, Event, QualityAssessment, QualityEvent, QuizEvent
from app.mastery.evidence import ACTIVITY, COMPLETION, MARK_BYTES, MILLIONTHS, QUALITY, QUIZ, Observation


def observe(event: Event, moment: datetime) -> Observation:
    """The observation of an event at a moment in UTC."""
    kind, first, second = _evidence(event)
    event_id = event.event_id.bytes
    mark = blake2b(event_id, digest_size=MARK_BYTES).digest()
    return mark, day_number(moment), kind, first, second, microseconds(moment), event_id, event.cohort_id or ""


def _evidence(event: Event) -> tuple[int, int, int]:
    match event:
        case CompletionEvent(data=data):
            return COMPLETION, data.completed_exercises, data.total_exercises
        case QuizEvent(data=data):
            return QUIZ, data.correct_answers, data.total_questions
        case QualityEvent(data=data):
            return QUALITY, _quality_millionths(data), 1
        case ActivityEvent():
            return ACTIVITY, 0, 0
        case _:
            assert_never(event)


def _quality_millionths(data: QualityAssessment) -> int:
    scores = [data.code_quality_score, data.correctness_score, data.efficiency_score]
    if data.peer_review_score is not None:
        scores.append(data.peer_review_score)
    return round(sum(scores) / len(scores) * MILLIONTHS)
