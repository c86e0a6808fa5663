"""Valid learning events as JSON objects, which tests can vary: a keyword sets a field of the envelope, or else of the data."""

from typing import Any
from uuid import uuid4

ENVELOPE = frozenset({"event_id", "event_type", "timestamp", "student_id", "tenant_id", "cohort_id", "source", "version"})


def activity(**changes: Any) -> dict[str, Any]:
    return _event("consistency.activity.recorded", {"current_streak": 1}, changes)


def completion(**changes: Any) -> dict[str, Any]:
    return _event(
        "exercise.completion.submitted", {"exercise_id": "e-1", "total_exercises": 5, "completed_exercises": 4}, changes
    )


def quiz(**changes: Any) -> dict[str, Any]:
    return _event("quiz.performance.submitted", {"quiz_id": "q-1", "total_questions": 10, "correct_answers": 8}, changes)


def quality(**changes: Any) -> dict[str, Any]:
    scores = {"code_quality_score": 0.7, "correctness_score": 0.8, "efficiency_score": 0.9}
    return _event("quality.assessment.completed", {"submission_id": "w-1", **scores}, changes)


def _event(event_type: str, data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    event = {
        "event_id": str(uuid4()),
        "event_type": event_type,
        "timestamp": "2026-10-27T09:00:00+00:00",
        "student_id": "s-1",
        "tenant_id": "t-1",
        "cohort_id": "c-1",
        "data": data,
    }
    for name, value in changes.items():
        (event if name in ENVELOPE else data)[name] = value
    return event
