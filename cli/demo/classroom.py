"""Simulates a classroom with realistic student behaviour. The same seed and last day give the same events.

- *Weekly rhythm*: students are most active on Tuesday and Wednesday, least on Saturday, and more in the evening.
- *Deadlines*: an assignment is due every second Sunday; students submit it on that day or the two before. They are more active
  shortly before a deadline. There is a quiz every Friday.
- *Differences*: each student has an ability (quality of the work) and a diligence (frequency of work), loosely correlated.
- *Drop-outs*: all students are active on the first day; one in six stops for good, more likely early than late.

The shapes follow patterns known from distance learning (less activity at weekends, submissions shortly before deadlines); the
numbers are made up.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from app.events.event_log import record_key

NAMESPACE = UUID("6d1c9a52-6a0c-4b56-9f2b-5f2f9a1d7c11")
WEEKDAY_ACTIVITY = (1.0, 1.1, 1.1, 1.0, 0.8, 0.5, 0.7)  # Monday first
ASSIGNMENT_DAYS, QUIZ_WEEKDAY, DUE_WEEKDAY = 14, 4, 6
EXERCISES_AN_ASSIGNMENT, QUESTIONS = 5, 10
DROP_OUT_SHARE = 1 / 6
SOURCE = "classroom-simulator"


class Student(NamedTuple):
    """A simulated student; ability and diligence are 0..1, ``last_day`` is None unless the student drops out."""

    tenant_id: str
    cohort_id: str
    student_id: str
    ability: float
    diligence: float
    last_day: int | None


class Classroom(NamedTuple):
    """The parameters of a simulation. Students are distributed evenly over all cohorts."""

    cohorts: dict[str, tuple[str, ...]]  # by tenant
    students: int = 200
    days: int = 60
    seed: int = 7


DEMO_CLASSROOM = Classroom({"riverside": ("algebra-1", "algebra-2"), "hilltop": ("python-101",)})
# The tenant and the student of the documentation's examples.
EXAMPLE = "riverside", "student-001"


def simulate(classroom: Classroom, last_day: date) -> list[dict[str, Any]]:
    """The events of the days up to ``last_day``, ordered by time."""
    first_day = last_day - timedelta(days=classroom.days - 1)
    events: list[dict[str, Any]] = []
    for student in _students(classroom):
        events += _events(student, classroom, first_day)
    return sorted(events, key=lambda event: (event["timestamp"], event["event_id"]))


def to_records(events: list[dict[str, Any]]) -> Iterator[tuple[bytes, bytes]]:
    """The events as Kafka keys and values."""
    for event in events:
        yield record_key(event["tenant_id"], event["student_id"]), json.dumps(event).encode()


def _students(classroom: Classroom) -> Iterator[Student]:
    places = [(tenant, cohort) for tenant, cohorts in classroom.cohorts.items() for cohort in cohorts]
    for number in range(classroom.students):
        chance = random.Random(f"{classroom.seed}/student/{number}")  # noqa: S311 - a simulation
        tenant, cohort = places[number % len(places)]
        ability = chance.betavariate(5, 2.5)
        diligence = min(1.0, max(0.05, 0.5 * ability + 0.6 * chance.betavariate(3, 2)))
        # The minimum of two draws makes an early day more likely.
        leaves = min(chance.randrange(classroom.days), chance.randrange(classroom.days))
        last_day = leaves if chance.random() < DROP_OUT_SHARE else None
        yield Student(tenant, cohort, f"student-{number + 1:03}", ability, diligence, last_day)


def _events(student: Student, classroom: Classroom, first_day: date) -> Iterator[dict[str, Any]]:
    assigned = completed = 0
    for number in range(classroom.days):
        if student.last_day is not None and number > student.last_day:
            return
        day = first_day + timedelta(days=number)
        chance = random.Random(f"{classroom.seed}/{student.student_id}/{day}")  # noqa: S311 - a simulation
        due_in = _days_to_deadline(number, first_day)
        active = number == 0 or chance.random() < student.diligence * WEEKDAY_ACTIVITY[day.weekday()] * (
            1.3 if due_in <= 2 else 0.8
        )
        if active:
            yield _event(student, day, chance, "consistency.activity.recorded", {})
        if active and day.weekday() == QUIZ_WEEKDAY:
            correct = sum(chance.random() < 0.25 + 0.7 * student.ability for _ in range(QUESTIONS))
            quiz = {"quiz_id": f"quiz-{number // 7 + 1}", "total_questions": QUESTIONS, "correct_answers": correct}
            yield _event(student, day, chance, "quiz.performance.submitted", quiz)
        if due_in == 0:
            assigned += EXERCISES_AN_ASSIGNMENT
            handed_in = chance.random() < 0.3 + 0.7 * student.diligence
            if handed_in:
                completed += sum(chance.random() < 0.5 + 0.5 * student.diligence for _ in range(EXERCISES_AN_ASSIGNMENT))
            assignment = f"assignment-{number // ASSIGNMENT_DAYS + 1}"
            hand_in_day = day - timedelta(days=min(chance.choice((0, 0, 0, 1, 1, 2)), number))
            progress = {"exercise_id": assignment, "total_exercises": assigned, "completed_exercises": completed}
            yield _event(student, hand_in_day, chance, "exercise.completion.submitted", progress)
            if handed_in:
                yield _event(
                    student, hand_in_day, chance, "quality.assessment.completed", _quality(student, assignment, chance)
                )


def _days_to_deadline(number: int, first_day: date) -> int:
    first_sunday = (DUE_WEEKDAY - first_day.weekday()) % 7
    return (first_sunday - number) % ASSIGNMENT_DAYS


def _quality(student: Student, assignment: str, chance: random.Random) -> dict[str, Any]:
    def score() -> float:
        return round(min(1.0, max(0.0, chance.gauss(0.2 + 0.75 * student.ability, 0.1))), 2)

    return {
        "submission_id": f"{assignment}-{student.student_id}",
        "code_quality_score": score(),
        "correctness_score": score(),
        "efficiency_score": score(),
    }


def _event(student: Student, day: date, chance: random.Random, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    evening = min(max(chance.gauss(18.5, 3.0), 6.0), 23.9)  # hours
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=int(evening * 3600))
    return {
        "event_id": str(uuid5(NAMESPACE, f"{student.student_id}/{moment.isoformat()}/{event_type}")),
        "event_type": event_type,
        "timestamp": moment.isoformat().replace("+00:00", "Z"),
        "student_id": student.student_id,
        "tenant_id": student.tenant_id,
        "cohort_id": student.cohort_id,
        "source": SOURCE,
        "version": "1.0",
        "data": data,
    }
