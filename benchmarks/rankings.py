"""What the rankings by component cost: memory per student, and time per event of the store, with them and without.

Without them, the store is given scores that have no components: then a student is in the ranking by mastery only.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from random import Random
from typing import Any

from app.bootstrap import Engine
from app.events.record_events import record_events
from app.mastery.formula import Components
from app.mastery.score_store import Score, ScoreStore
from app.mastery.stores import MasteryStores
from app.storage.scripts import slices
from benchmarks.batch_client import COHORT_STUDENTS, student
from benchmarks.memory import used_memory
from benchmarks.scale import Cost, cost_of_recording, median_cost, wait_for_quiet
from benchmarks.stacks import fresh_engine
from benchmarks.table import Row
from benchmarks.workload import TENANT, Kind, event

CHUNK, EVENTS = 500, 5_000
KINDS = tuple(Kind)


class _ScoresWithoutComponents(ScoreStore):
    """Stores mastery only."""

    def put(self, tenant: str, scores: Iterable[Score], at: datetime) -> list[str]:
        """Store the scores without their components. Returns the errors."""
        return super().put(tenant, [each._replace(components=Components()) for each in scores], at)


def measure(*, quick: bool) -> list[Row]:
    """Fill two servers with the same students, who have evidence of every component; then record more events in turn."""
    students, rounds = (5_000, 3) if quick else (50_000, 6)
    with fresh_engine() as engine, fresh_engine() as other:
        without = other.mastery._replace(scores=_ScoresWithoutComponents(other.redis, other.settings.key_prefix, ""))
        filled = [_bytes_a_student(*each, students) for each in ((engine, engine.mastery), (other, without))]
        costs: list[list[Cost]] = [[], []]
        for number in range(rounds):
            for found, each in zip(costs, ((engine, engine.mastery), (other, without)), strict=True):
                found.append(cost_of_recording(*each, _chunks(Random(number), students, each[0].clock())))
    return [_memory(*filled), _time(*(median_cost(found) for found in costs))]


def _bytes_a_student(engine: Engine, stores: MasteryStores, students: int) -> float:
    """Record an event of each kind of every student. Returns the growth of the server's used memory per student."""
    chance, now = Random(17), engine.clock()
    record_events(_events(chance, [0], now, KINDS), stores=stores, now=now)  # loads the scripts
    before = used_memory(engine)
    for numbers in slices(range(1, students + 1), CHUNK):
        record_events(_events(chance, numbers, now, KINDS), stores=stores, now=now)
    engine.redis.delete(f"{engine.settings.key_prefix}:{{{TENANT}}}:changes")  # as the relay does after their delivery
    wait_for_quiet(engine)
    return (used_memory(engine) - before) / students


def _chunks(chance: Random, students: int, now: datetime) -> list[list[Any]]:
    """One more event of some students, of a random kind."""
    drawn = chance.sample(range(students), EVENTS)
    return [_events(chance, numbers, now, [chance.choice(KINDS)]) for numbers in slices(drawn, CHUNK)]


def _events(chance: Random, numbers: Iterable[int], now: datetime, kinds: Sequence[Kind]) -> list[Any]:
    return [
        event(chance, student(number), now, kind, f"cohort-{number // COHORT_STUDENTS}") for number in numbers for kind in kinds
    ]


def _memory(size: float, without: float) -> Row:
    return Row(
        what="Redis memory per student with evidence of every component\nrankings by component",
        measured=f"{size / 1024:.2f} KB",
        baseline=f"{without / 1024:.2f} KB\nwithout them",
        ratio=f"{size - without:+.0f} bytes",
    )


def _time(cost: Cost, without: Cost) -> Row:
    return Row(
        what="time per event of the store, rankings by component",
        measured=f"{cost.cpu:.1f} µs CPU\n{cost.wall:.1f} µs wall",
        baseline=f"{without.cpu:.1f} µs CPU\n{without.wall:.1f} µs wall\nwithout them",
        ratio=f"{cost.cpu / without.cpu - 1:+.0%} CPU\n{cost.wall / without.wall - 1:+.0%} wall",
    )
