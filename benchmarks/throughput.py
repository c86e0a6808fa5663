"""Events per second, from the first produced to Kafka to the last recorded, against one Celery task per event."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from app.bootstrap import Engine, bootstrap
from benchmarks.stacks import PROJECT, fresh_stack, stop
from benchmarks.table import Row
from benchmarks.workload import classroom_records
from consumers.kafka.clients import producer
from consumers.kafka.delivery import deliver
from consumers.kafka.paced_producer import count_recorded, produce_paced, wait_for_progress
from tests.stack import Stack

TARGET_RATIO, TARGET_RATE = 20, 10_000
BASELINE = "one-task-per-event"
DAYS, WARM_UP = 14, 300


def measure(*, quick: bool) -> list[Row]:
    """Measure engine and baseline alternately on the same servers; the results are medians."""
    rounds, students, baseline_events = (1, 4_000, 1_000) if quick else (3, 12_000, 6_000)
    ours: list[float] = []
    theirs: list[float] = []
    with fresh_stack() as stack:
        recording_rate(stack.engine, classroom_records("warm-up", students=200, days=DAYS, seed=0))
        for number in range(rounds):
            events = classroom_records(f"ours-{number}", students=students, days=DAYS, seed=number)
            ours.append(recording_rate(stack.engine, events))
            # Fewer events, since each takes twenty times as long. A student has about nine, so this is enough students.
            events = classroom_records(f"theirs-{number}", students=baseline_events // 5, days=DAYS, seed=number)
            with _baseline(stack) as engine:
                recording_rate(engine, events[:WARM_UP], paced=False)
                theirs.append(recording_rate(engine, events[WARM_UP : WARM_UP + baseline_events], paced=False))
    rate, baseline = median(ours), median(theirs)
    return [
        Row(
            what="events/s, Kafka to queryable mastery",
            measured=f"{rate:,.0f}/s",
            baseline=f"{baseline:,.0f}/s\none Celery task per event",
            ratio=f"{rate / baseline:.1f} ×",
            target=f"≥ {TARGET_RATIO} ×, ≥ {TARGET_RATE:,}/s",
            met=rate >= TARGET_RATIO * baseline and rate >= TARGET_RATE,
        )
    ]


def recording_rate(engine: Engine, records: Sequence[tuple[bytes, bytes]], *, paced: bool = True) -> float:
    """Produce events as fast as the pipeline takes them, and wait until the last is counted in the totals.

    The baseline's events are produced at once (not ``paced``): the embedded broker can keep so few.

    Returns:
        Events per second.
    """
    before, began = count_recorded(engine), time.monotonic()
    if paced:
        produce_paced(engine, records)
    else:
        deliver(producer(engine.settings), engine.settings.events_topic, ((key, value, []) for key, value in records))
    wait_for_progress(
        lambda: count_recorded(engine) - before >= len(records),
        lambda: count_recorded(engine),
        "the pipeline",
        "stopped before every event was recorded",
    )
    return len(records) / (time.monotonic() - began)


@contextmanager
def _baseline(stack: Stack) -> Iterator[Engine]:
    """Run the baseline's consumer and worker on the same servers.

    Their topic, consumer group and key prefix are separate. Flower enables task events of every worker that it finds, and does
    not find these.

    Yields:
        An engine with the same settings, to read what they record.
    """
    settings = dataclasses.replace(stack.engine.settings, events_topic=BASELINE, kafka_group=BASELINE, key_prefix=BASELINE)
    environment = {
        **stack.environment,
        "MASTERY_REDIS_URL": settings.redis_url,
        "MASTERY_BROKER_URL": settings.broker_url,
        "MASTERY_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "MASTERY_EVENTS_TOPIC": settings.events_topic,
        "MASTERY_KAFKA_GROUP": settings.kafka_group,
        "MASTERY_KEY_PREFIX": settings.key_prefix,
    }
    worker = ["celery", "--app", "benchmarks.one_task_per_event", "worker", "--concurrency", str(settings.worker_concurrency)]
    with (stack.folder.parent / f"{BASELINE}.log").open("ab") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", *command], cwd=PROJECT, env=environment, stdout=log, stderr=log)
            for command in (["benchmarks.one_task_per_event"], [*worker, "--hostname", f"{BASELINE}@localhost"])
        ]
    engine = bootstrap(settings)
    try:
        yield engine
    finally:
        engine.redis.close()
        stop(processes)
