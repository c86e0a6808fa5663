"""A second, slow implementation of the rules: a list of all of a student's events, from which each answer is computed anew."""

from datetime import date, timedelta

from app.events.event import ActivityEvent, CompletionEvent, QualityEvent, QuizEvent
from app.mastery.formula import Components
from tests.properties.strategies import Timed

RETENTION_DAYS = 90


def model_components(events: list[Timed], as_of: date) -> Components | None:
    """The components on a day, from the events that are retained on it; None without any."""
    first = as_of - timedelta(days=RETENTION_DAYS - 1)
    kept = [(event, moment) for event, moment in events if first <= moment.date() <= as_of]
    if not kept:
        return None
    done = [(moment, event.event_id, event.data) for event, moment in kept if isinstance(event, CompletionEvent)]
    quizzes = [event.data for event, _ in kept if isinstance(event, QuizEvent)]
    works = [_quality(event) for event, _ in kept if isinstance(event, QualityEvent)]
    active = {moment.date() for event, moment in kept if isinstance(event, ActivityEvent)}
    fortnight = {as_of - timedelta(days=age) for age in range(14)}
    latest = max(done, key=lambda each: each[:2])[2] if done else None
    return Components(
        completion=latest.completed_exercises / latest.total_exercises if latest else None,
        quiz=sum(q.correct_answers for q in quizzes) / sum(q.total_questions for q in quizzes) if quizzes else None,
        quality=sum(works) / len(works) / 1_000_000 if works else None,
        consistency=len(active & fortnight) / 14 if active else None,
    )


def model_cohort(events: list[Timed], as_of: date) -> str | None:
    """The cohort in the latest retained event that has one."""
    first = as_of - timedelta(days=RETENTION_DAYS - 1)
    named = [
        (moment, event.event_id, event.cohort_id) for event, moment in events if event.cohort_id and moment.date() >= first
    ]
    return max(named, key=lambda each: each[:2])[2] if named else None


def _quality(event: QualityEvent) -> int:
    data = event.data
    scores = [data.code_quality_score, data.correctness_score, data.efficiency_score]
    if data.peer_review_score is not None:
        scores.append(data.peer_review_score)
    return round(sum(scores) / len(scores) * 1_000_000)
