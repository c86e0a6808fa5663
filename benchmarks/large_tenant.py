"""Fills a tenant with hundreds of thousands of students in about a minute: evidence without events, many students at once."""

from collections.abc import Iterator
from datetime import datetime
from random import Random

from app.bootstrap import Engine
from app.clock import Day, day_number, microseconds
from app.events.record_events import Evidence, record_evidence
from app.mastery.evidence import ACTIVITY, COMPLETION, MARK_BYTES, MILLIONTHS, QUALITY, QUIZ, Observation
from app.storage.scripts import slices
from benchmarks.batch_client import COHORT_STUDENTS, DAYS_BETWEEN, EVENTS, student
from benchmarks.workload import TENANT

LARGE_COHORT = "large"
STUDENTS_AT_ONCE = 500
_EVENT_ID_BYTES = 16


def fill_large_tenant(engine: Engine, students: int, in_large_cohort: int, now: datetime) -> None:
    """Give a tenant its students as of a day: the first ones in ``LARGE_COHORT``, the others in cohorts of a thousand.

    Each has ``EVENTS`` observations, one every ``DAYS_BETWEEN`` days until that day, of random kinds.
    """
    chance, stamp = Random(15), microseconds(now)
    for numbers in slices(range(students), STUDENTS_AT_ONCE):
        found = [
            Evidence(TENANT, student(number), observation)
            for number in numbers
            for observation in _observations(chance, _cohort(number, in_large_cohort), day_number(now), stamp)
        ]
        record_evidence(found, stores=engine.mastery, now=now)


def _cohort(number: int, in_large_cohort: int) -> str:
    return LARGE_COHORT if number < in_large_cohort else f"cohort-{number // COHORT_STUDENTS}"


def _observations(chance: Random, cohort: str, today: Day, stamp: int) -> Iterator[Observation]:
    for day in range(today, today - EVENTS * DAYS_BETWEEN, -DAYS_BETWEEN):
        kind = chance.choice((COMPLETION, QUIZ, QUALITY, ACTIVITY))
        event_id = chance.randbytes(_EVENT_ID_BYTES)
        yield event_id[:MARK_BYTES], day, kind, *_values(chance, kind), stamp, event_id, cohort


def _values(chance: Random, kind: int) -> tuple[int, int]:
    """The two numbers of an observation: see ``evidence.py``."""
    if kind == QUALITY:
        return chance.randint(0, MILLIONTHS), 1
    asked = {COMPLETION: 20, QUIZ: 10}.get(kind, 0)
    return chance.randint(0, asked), asked
