"""The cost of recording an event in a small and in a large tenant."""

import gc
import time
from collections.abc import Sequence
from datetime import datetime
from random import Random
from statistics import median
from typing import Any, NamedTuple

from app.bootstrap import Engine
from app.events.event import Event
from app.events.record_events import record_events
from app.mastery.stores import MasteryStores
from app.storage.scripts import slices
from benchmarks.stacks import fresh_engine
from benchmarks.table import Row
from benchmarks.workload import event

TARGET_GROWTH = 0.15
SMALL, COHORT_STUDENTS, CHUNK = 5_000, 5_000, 500


class Cost(NamedTuple):
    """Microseconds per event: wall time, and CPU time of this process and the server together."""

    wall: float
    cpu: float


def measure(*, quick: bool) -> list[Row]:
    """Measure the two tenants alternately, each on its own server; the results are medians over the passes."""
    large, passes = (50_000, 3) if quick else (500_000, 15)
    chance = Random(6)
    with fresh_engine() as small_engine, fresh_engine() as large_engine:
        _fill(large_engine, chance, large)
        # Each measured event is a student's second one, in the large tenant and in the small one, which is created again for
        # each pass. So both do the same work, and only the amount of other data differs.
        fresh = chance.sample(range(large), SMALL * passes)
        small_costs: list[Cost] = []
        large_costs: list[Cost] = []
        for number in range(passes):
            small_engine.redis.flushdb()
            _fill(small_engine, chance, SMALL)
            small_costs.append(_cost(small_engine, chance, chance.sample(range(SMALL), SMALL)))
            large_costs.append(_cost(large_engine, chance, fresh[number * SMALL : (number + 1) * SMALL]))
    small, big = median_cost(small_costs), median_cost(large_costs)
    growth = big.cpu / small.cpu - 1
    return [
        Row(
            what=f"cost per event with {large:,} students",
            measured=f"{big.cpu:.1f} µs CPU\n{big.wall:.1f} µs wall",
            baseline=f"{small.cpu:.1f} µs CPU\n{small.wall:.1f} µs wall\n{SMALL:,} students",
            ratio=f"{growth:+.0%} CPU\n{big.wall / small.wall - 1:+.0%} wall",
            target=f"within {TARGET_GROWTH:.0%}",
            met=growth <= TARGET_GROWTH and big.wall / small.wall - 1 <= TARGET_GROWTH,
        )
    ]


def _fill(engine: Engine, chance: Random, students: int) -> None:
    """Record one event of every student."""
    now = engine.clock()
    for start in range(0, students, CHUNK):
        events = [_event(chance, number, now) for number in range(start, start + CHUNK)]
        record_events(events, stores=engine.mastery, now=now)
    wait_for_quiet(engine)


def _cost(engine: Engine, chance: Random, students: Sequence[int]) -> Cost:
    """The cost of recording one more event of each student."""
    now = engine.clock()
    chunks = [[_event(chance, number, now) for number in some] for some in slices(students, CHUNK)]
    return cost_of_recording(engine, engine.mastery, chunks)


def cost_of_recording(engine: Engine, stores: MasteryStores, chunks: Sequence[Sequence[tuple[Event, datetime]]]) -> Cost:
    """The cost of recording chunks of events in stores of the engine's server."""
    now, events = engine.clock(), sum(map(len, chunks))
    # Every pass allocates the same, so the garbage collector would always run in the same tenant's half and distort its cost.
    gc.collect()
    gc.disable()
    cpu, wall = _cpu_seconds(engine), time.perf_counter()
    for chunk in chunks:
        record_events(chunk, stores=stores, now=now)
    wall, cpu = time.perf_counter() - wall, _cpu_seconds(engine) - cpu
    gc.enable()
    return Cost(wall / events * 1e6, cpu / events * 1e6)


def _event(chance: Random, number: int, now: datetime) -> Any:
    return event(chance, f"student-{number:06}", now, cohort=f"cohort-{number // COHORT_STUDENTS}")


def _cpu_seconds(engine: Engine) -> float:
    server = engine.redis.info("cpu")
    return time.process_time() + float(server["used_cpu_user"]) + float(server["used_cpu_sys"])


def wait_for_quiet(engine: Engine) -> None:
    """Wait for the rewrite of the append-only file that filling may have triggered."""
    while engine.redis.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.1)


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The medians of both."""
    return Cost(median(cost.wall for cost in costs), median(cost.cpu for cost in costs))
