"""Redis memory per student for 90 days of activity, including everything stored about the student."""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

from app.bootstrap import Engine
from app.events.record_events import record_events
from benchmarks.stacks import fresh_engine
from benchmarks.table import Row
from benchmarks.workload import Kind, event, noon

TARGET_BYTES = 4096
DAYS, CHUNK = 90, 500
DAILY = (Kind.ACTIVITY,)
HEAVY = (Kind.ACTIVITY, Kind.QUIZ, Kind.COMPLETION)


def measure(*, quick: bool) -> list[Row]:
    """Measure two kinds of students, each on a new server."""
    students, heavy_students = (300, 100) if quick else (2_000, 600)
    size = _bytes_a_student(DAILY, students)
    heavy = _bytes_a_student(HEAVY, heavy_students)
    return [
        Row(
            what=f"Redis memory per student, {DAYS} days of daily activity",
            measured=f"{size / 1024:.2f} KB",
            target=f"≤ {TARGET_BYTES // 1024} KB",
            met=size <= TARGET_BYTES,
            ratio=f"{size / TARGET_BYTES:.0%} of it",
        ),
        Row(what=f"the same with {len(HEAVY)} events a day: activity, quiz, completion", measured=f"{heavy / 1024:.2f} KB"),
    ]


def _bytes_a_student(kinds: Sequence[Kind], students: int) -> float:
    """Growth of the server's used memory per student.

    Each day's events are recorded on that day, as in production, so that strings and lists grow step by step.

    Returns:
        Bytes per student.
    """
    with fresh_engine() as engine:
        chance, today = Random(4), engine.clock().date()
        _record_day(engine, chance, ["first"], today - timedelta(days=DAYS - 1), kinds)  # loads the scripts, creates the index
        before = used_memory(engine)
        names = [f"student-{number:05}" for number in range(students)]
        for age in range(DAYS - 1, -1, -1):
            _record_day(engine, chance, names, today - timedelta(days=age), kinds)
        return (used_memory(engine) - before) / students


def _record_day(engine: Engine, chance: Random, students: Sequence[str], day: date, kinds: Sequence[Kind]) -> None:
    moment = noon(day)
    for start in range(0, len(students), CHUNK):
        for kind in kinds:
            events = [event(chance, student, moment, kind) for student in students[start : start + CHUNK]]
            record_events(events, stores=engine.mastery, now=moment)
    for tenant in engine.mastery.tenants.all():  # as the relay does after their delivery
        engine.redis.delete(f"{engine.settings.key_prefix}:{{{tenant}}}:changes")


def used_memory(engine: Engine) -> int:
    """Used memory in bytes, without the buffers for clients and the append-only file."""
    memory = engine.redis.info("memory")
    buffers = sum(int(memory[name]) for name in ("mem_clients_normal", "mem_aof_buffer"))
    return int(memory["used_memory"]) - buffers
