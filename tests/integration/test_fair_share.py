"""A tenant that floods the topic delays mostly itself."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import redis

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.events.ledger import Attempt, ChunkId, Depths
from consumers.kafka.clients import producer
from tasks.queues import EVENTS, EVENTS_BULK
from tests.integration.running_bridge import Running, own_topics, produce
from tests.learning_events import activity
from tests.stack import Stack, wait_for

SECONDS = 60.0
CHUNK_EVENTS, RATE = 20, 200
FLOOD = 8_000


def events(tenant: str, count: int) -> list[bytes]:
    now = datetime.now(UTC).isoformat()
    return [json.dumps(activity(tenant_id=tenant, student_id=f"s-{number}", timestamp=now)).encode() for number in range(count)]


@pytest.fixture
def engine(settings: Settings, kafka_bootstrap: str, tmp_path: Path) -> Iterator[Engine]:
    own = replace(own_topics(settings, kafka_bootstrap, tmp_path), tenant_events_per_second=RATE)
    made = bootstrap(own)
    yield made
    made.redis.close()


def test_what_is_above_the_share_goes_to_the_bulk_lane(engine: Engine) -> None:
    """All tenants' events of one read are accepted at once, in a chunk for each lane."""
    sent: list[ChunkId] = []
    produce(engine.settings, *events("flood", 1_000), *events("calm", 20))
    with Running(engine, sent.extend):
        wait_for(lambda: engine.ledger.counts().records == 1_020, SECONDS)
    lanes: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    bulk = engine.ledger.claim_overdue(0, len(sent), in_bulk=True)
    for chunk_id in sent:
        begun = engine.ledger.begin(chunk_id, Attempt("worker", 0))
        assert begun is not None
        lanes[chunk_id in bulk].update(json.loads(each.value)["tenant_id"] for each in begun.chunk.records)
    assert engine.ledger.depths() == Depths(len(sent) - len(bulk), len(bulk))
    assert lanes[False]["calm"] == 20
    assert lanes[True] == Counter(flood=1_000 - lanes[False]["flood"])
    assert lanes[True]["flood"] > 500


def test_the_bulk_lane_holds_the_bridge_at_a_mark_of_its_own(engine: Engine) -> None:
    """Above the other lane's mark, since nobody else waits; below the low one it resumes, until all events are accepted."""
    marks = replace(engine.settings, chunks_high_mark=10, chunks_low_mark=10, bulk_chunks_high_mark=30, bulk_chunks_low_mark=5)
    engine = bootstrap(marks)
    sent: list[ChunkId] = []
    produce(marks, *events("flood", 4_000))
    with Running(engine, sent.extend) as bridge:
        wait_for(lambda: engine.ledger.depths().bulk == 30, SECONDS)
        while len(bridge.recorded) < 4_000:
            wait_for(lambda: bool(sent), SECONDS)
            bridge.record([sent.pop(0)])
            assert engine.ledger.depths().bulk <= 30
    engine.redis.close()


@contextmanager
def suspended_worker(stack: Stack) -> Iterator[None]:
    children = psutil.Process(stack.process.pid).children(recursive=True)
    worker = next(each for each in children if "worker" in each.cmdline() and each.children())
    parts = [worker, *worker.children()]
    for part in parts:
        part.suspend()
    try:
        yield
    finally:
        for part in parts:
            part.resume()


def test_nobody_else_waits_for_a_flood(tmp_path: Path) -> None:
    """The flood is before the others' events in every partition, and most of it is in Redis when the others' are recorded.

    Tasks lost from a queue return to the same lane.
    """
    variables = {
        "MASTERY_TENANT_EVENTS_PER_SECOND": str(RATE),
        "MASTERY_CHUNK_EVENTS": str(CHUNK_EVENTS),
        "MASTERY_WORKER_CONCURRENCY": "1",
    }
    with Stack(tmp_path / "data", **variables) as stack, redis.Redis.from_url(stack.running.broker_url) as broker:
        settings, ledger = stack.engine.settings, stack.engine.ledger
        queues = [f"{settings.key_prefix}:celery:{name}" for name in (EVENTS, EVENTS_BULK)]
        with suspended_worker(stack):
            out = producer(settings)
            for value in [*events("flood", FLOOD), *events("calm", 8)]:
                out.produce(settings.events_topic, value)
            out.flush(SECONDS)
            wait_for(lambda: ledger.counts().records == FLOOD + 8, SECONDS)
            before = ledger.depths()
            assert before.bulk > 20 * before.ordinary
            wait_for(lambda: broker.llen(queues[1]) == before.bulk, SECONDS)
            broker.delete(*queues)
        wait_for(lambda: stack.engine.event_totals.of("calm").applied == 8, SECONDS)
        assert ledger.depths().bulk > before.bulk / 3
        wait_for(lambda: stack.engine.event_totals.of("flood").applied == FLOOD, SECONDS)
        wait_for(lambda: ledger.depths() == Depths(0, 0), SECONDS)
