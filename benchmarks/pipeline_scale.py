"""CPU cost of an event from Kafka to queryable mastery, over all processes of the stack, in a small and a large tenant."""

import time
from random import Random
from statistics import median

import psutil

from app.clock import system_clock
from app.events.record_events import record_events
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT, event, event_json
from consumers.kafka.paced_producer import count_recorded, produce_paced, wait_for_progress
from tests.stack import Stack

TARGET_GROWTH = 0.15
SMALL, COHORT_STUDENTS, CHUNK = 5_000, 5_000, 500


def measure(*, quick: bool) -> list[Row]:
    """Measure a stack of each size in turn; CPU time, since it hardly depends on other load of the machine."""
    large, events, rounds = (20_000, 5_000, 1) if quick else (500_000, 40_000, 3)
    small = _cost(SMALL, events, rounds)
    big = _cost(large, events, rounds)
    growth = big / small - 1
    return [
        Row(
            what=f"cost per event with {large:,} students,\nKafka to queryable mastery",
            measured=f"{big:.0f} µs CPU",
            baseline=f"{small:.0f} µs CPU\n{SMALL:,} students",
            ratio=f"{growth:+.0%} CPU",
            target=f"within {TARGET_GROWTH:.0%}",
            met=growth <= TARGET_GROWTH,
        )
    ]


def _cost(students: int, events: int, rounds: int) -> float:
    """Microseconds of CPU per event of random students; the median of the rounds."""
    chance, now = Random(8), system_clock()
    with fresh_stack() as stack:
        for start in range(0, students, CHUNK):
            first = [event(chance, _student(number), now, cohort=_cohort(number)) for number in range(start, start + CHUNK)]
            record_events(first, stores=stack.engine.mastery, now=now)
        costs = []
        for _round in range(rounds):
            drawn = [chance.randrange(students) for _ in range(events)]
            records = [
                (f"{TENANT}/{_student(number)}".encode(), event_json(chance, _student(number), now, cohort=_cohort(number)))
                for number in drawn
            ]
            before, recorded = _cpu_seconds(stack), count_recorded(stack.engine)
            produce_paced(stack.engine, records)
            wait_for_progress(
                lambda recorded=recorded: count_recorded(stack.engine) - recorded >= events,  # type: ignore[misc]
                lambda: count_recorded(stack.engine),
                "the pipeline",
                "stopped before every event was recorded",
            )
            time.sleep(0.2)  # include the acknowledgement and commit after the last event
            costs.append((_cpu_seconds(stack) - before) / events * 1e6)
    return median(costs)


def _cpu_seconds(stack: Stack) -> float:
    """CPU seconds of all processes of the stack so far, including the embedded servers."""
    processes = psutil.Process(stack.process.pid).children(recursive=True)
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _student(number: int) -> str:
    return f"student-{number:06}"


def _cohort(number: int) -> str:
    return f"cohort-{number // COHORT_STUDENTS}"
