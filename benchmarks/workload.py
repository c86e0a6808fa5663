"""Events for benchmarks: the same seed gives the same events; every event is valid and within the retention."""

from datetime import UTC, date, datetime, timedelta
from enum import Enum
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from app.events.event import Event, decode_event
from cli.demo.classroom import Classroom, simulate, to_records

TENANT, COHORT = "bench", "cohort-1"


class Kind(Enum):
    """The event types."""

    COMPLETION = "exercise.completion.submitted"
    QUIZ = "quiz.performance.submitted"
    QUALITY = "quality.assessment.completed"
    ACTIVITY = "consistency.activity.recorded"


def classroom_records(run: str, *, students: int, days: int, seed: int) -> list[tuple[bytes, bytes]]:
    """Simulate a classroom up to yesterday.

    Consecutive events are of different students, as in production: a chunk of 500 updates nearly as many records.

    Args:
        run: part of the tenants' names, so that each run has new tenants.
        students: number of students.
        days: number of days.
        seed: of the simulation.

    Returns:
        Kafka keys and values, ordered by time.
    """
    classroom = Classroom(
        {f"{run}-a": ("algebra-1", "algebra-2"), f"{run}-b": ("python-101",)}, students=students, days=days, seed=seed
    )
    return list(to_records(simulate(classroom, datetime.now(UTC).date() - timedelta(days=1))))


def event_json(
    chance: Random, student: str, moment: datetime, kind: Kind = Kind.ACTIVITY, cohort: str = COHORT, tenant: str = TENANT
) -> bytes:
    """One event as JSON, as a producer sends it."""
    return msgspec.json.encode(
        {
            "event_id": UUID(int=chance.getrandbits(128), version=4),
            "event_type": kind.value,
            "timestamp": moment,
            "student_id": student,
            "tenant_id": tenant,
            "cohort_id": cohort,
            "source": "benchmark",
            "version": "1.0",
            "data": _data(chance, kind),
        }
    )


def event(
    chance: Random, student: str, moment: datetime, kind: Kind = Kind.ACTIVITY, cohort: str = COHORT, tenant: str = TENANT
) -> tuple[Event, datetime]:
    """One decoded event with its moment."""
    return decode_event(event_json(chance, student, moment, kind, cohort, tenant), moment)


def noon(day: date) -> datetime:
    """Noon of a day, UTC."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _data(chance: Random, kind: Kind) -> dict[str, Any]:
    match kind:
        case Kind.COMPLETION:
            return {"exercise_id": "exercise-1", "total_exercises": 20, "completed_exercises": chance.randint(0, 20)}
        case Kind.QUIZ:
            return {"quiz_id": "quiz-1", "total_questions": 10, "correct_answers": chance.randint(0, 10)}
        case Kind.QUALITY:
            score = chance.random()
            return {
                "submission_id": "submission-1",
                "code_quality_score": score,
                "correctness_score": score,
                "efficiency_score": score,
            }
        case Kind.ACTIVITY:
            return {"current_streak": chance.randint(1, 30)}
