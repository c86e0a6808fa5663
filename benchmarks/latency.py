"""The time from producing an event to Kafka until POST /mastery/query shows it, under a load of 1,000 events per second."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from threading import Event as Flag
from threading import Thread

import requests
from confluent_kafka import Producer

from app.errors import NotFound
from app.events.event_log import record_key
from benchmarks.percentile import percentile
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT, classroom_records, event_json
from consumers.kafka.clients import producer
from consumers.kafka.paced_producer import count_recorded
from tests.stack import Stack, wait_for

TARGET_P99, RATE = 0.25, 1_000
TICKS_A_SECOND = 100  # ten events every ten milliseconds: steady, like many producers together
PROBES_A_SECOND, POLL_SECONDS, VISIBLE_SECONDS = 12, 0.003, 10.0
SETTLE_SECONDS = 2.0


def measure(*, quick: bool) -> list[Row]:
    """Measure with sequential probes during a steady stream."""
    seconds = 4 if quick else 30
    load = classroom_records("steady", students=6_000 if quick else 12_000, days=14, seed=5)
    with fresh_stack() as stack:
        before = count_recorded(stack.engine)
        out = producer(stack.engine.settings)
        with _stream(out, stack, load) as sent:
            time.sleep(SETTLE_SECONDS)
            latencies = _probe(stack, out, seconds)
        count = sent[0] + len(latencies)
        wait_for(lambda: count_recorded(stack.engine) - before >= count, VISIBLE_SECONDS)  # nothing was lost or delayed
    p50, p95, p99 = (percentile(latencies, percent) for percent in (50, 95, 99))
    return [
        Row(
            what=f"produce → visible in a query at {RATE:,} events/s",
            measured=f"p50 {p50 * 1000:.0f}, p95 {p95 * 1000:.0f}, p99 {p99 * 1000:.0f} ms\n{len(latencies)} probes",
            target=f"p99 < {TARGET_P99 * 1000:.0f} ms",
            met=p99 < TARGET_P99,
        )
    ]


@contextmanager
def _stream(out: Producer, stack: Stack, records: Sequence[tuple[bytes, bytes]]) -> Iterator[list[int]]:
    """Produce at a steady rate within the context. Yields a list whose only item is the number produced so far."""
    stopped, sent = Flag(), [0]
    topic = stack.settings.events_topic

    def run() -> None:  # not produce_paced, which waits for delivery reports: the load must not depend on the engine
        began = time.monotonic()
        for count, (key, value) in enumerate(records):
            if count % (RATE // TICKS_A_SECOND) == 0:
                out.poll(0)
                if stopped.wait(max(0.0, began + count / RATE - time.monotonic())):
                    break
            out.produce(topic, value=value, key=key)
            sent[0] += 1
        out.flush(VISIBLE_SECONDS)

    thread = Thread(target=run)
    thread.start()
    try:
        yield sent
        if not thread.is_alive():
            raise AssertionError("the stream ended before the probes were done")
    finally:
        stopped.set()
        thread.join()


def _probe(stack: Stack, out: Producer, seconds: float) -> list[float]:
    """Measure the time from producing an event of a new student to the complete answer about the student.

    The store is polled first, since a missing key costs it almost nothing; the API is called when the record is there.

    Returns:
        Seconds of each probe.

    Raises:
        AssertionError: an event is not stored in time.
    """
    chance = Random(9)
    latencies: list[float] = []
    url, headers = f"{stack.running.http_url}/mastery/query", {"Authorization": f"Bearer {stack.token(tenant=TENANT)}"}
    session = requests.Session()
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        student = f"probe-{len(latencies)}"
        value = event_json(chance, student, datetime.now(UTC))
        out.produce(stack.settings.events_topic, value=value, key=record_key(TENANT, student))
        while not _is_stored(stack, student):
            if time.monotonic() - began > VISIBLE_SECONDS:
                raise AssertionError(f"{student} was not stored within {VISIBLE_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        session.post(url, json={"student_id": student}, headers=headers, timeout=VISIBLE_SECONDS).raise_for_status()
        latencies.append(time.monotonic() - began)
        # At random moments, so that the probes do not synchronize with the stream.
        time.sleep(max(0.0, chance.uniform(0.5, 1.5) / PROBES_A_SECOND - latencies[-1]))
    return latencies


def _is_stored(stack: Stack, student: str) -> bool:
    try:
        stack.engine.mastery.facts.require_student(TENANT, student)
    except NotFound:
        return False
    return True
