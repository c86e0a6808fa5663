"""A worker's process dies, or cannot requeue its task: the chunk is still recorded."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import redis
import requests
from kombu import Connection

from app.events.chunk import Chunk, SourceRecord
from app.events.event_totals import Totals
from app.events.ledger import ChunkId
from cli.stack.embedded import embedded
from tasks.events import record
from tests.learning_events import activity
from tests.stack import Stack, wait_for

SECONDS = 90.0
EVENTS = 200
PAUSE_MILLISECONDS = 3_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[redis.Redis]:
    """A Valkey for the queues only."""
    with embedded("valkey", str(tmp_path / "broker"), "0") as url, redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def stack(tmp_path: Path, broker: redis.Redis, state: ExitStack, state_port: int) -> Iterator[Stack]:  # noqa: ARG001
    """A stack with state and queues on different servers, so that one can fail without the other."""
    place = broker.connection_pool.connection_kwargs
    variables = {
        "MASTERY_REDIS_URL": f"redis://127.0.0.1:{state_port}/0",
        "MASTERY_BROKER_URL": f"redis://{place['host']}:{place['port']}/0",
        "MASTERY_KEY_PREFIX": f"loss-{uuid4().hex[:8]}",
        "MASTERY_REDIS_TIMEOUT_SECONDS": "1",
        "MASTERY_WORKER_CONCURRENCY": "1",
    }
    with Stack(tmp_path / "data", **variables) as running:
        yield running


def accept(stack: Stack) -> ChunkId:
    """A chunk in flight, whose task is not sent yet."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    events = [activity(tenant_id="t", student_id=f"s-{number % 7}", timestamp=yesterday) for number in range(EVENTS)]
    records = [SourceRecord(0, offset, json.dumps(event).encode()) for offset, event in enumerate(events)]
    accepted = stack.engine.ledger.accept(Chunk("mastery.events", datetime.now(UTC), records))
    assert accepted.chunk_id is not None
    return accepted.chunk_id


def send(stack: Stack, chunk_id: ChunkId) -> None:
    """Send the chunk's task like the bridge."""
    settings = stack.engine.settings
    with Connection(settings.broker, transport_options={"global_keyprefix": f"{settings.key_prefix}:celery:"}) as connection:
        record.apply_async(args=(chunk_id,), connection=connection)


def chunks_in_hand(stack: Stack, broker: redis.Redis) -> bool:
    return bool(broker.hlen(f"{stack.engine.settings.key_prefix}:celery:unacked"))


def worker_child(stack: Stack) -> psutil.Process:
    children = psutil.Process(stack.process.pid).children(recursive=True)
    worker = next(each for each in children if "worker" in each.cmdline() and each.children())
    return worker.children()[0]


def test_a_chunk_survives_the_process_that_recorded_it(stack: Stack, broker: redis.Redis) -> None:
    """SIGKILL during a chunk, like by the OOM killer."""
    chunk_id = accept(stack)
    stack.engine.redis.client_pause(PAUSE_MILLISECONDS)
    send(stack, chunk_id)
    wait_for(lambda: chunks_in_hand(stack, broker), SECONDS)
    worker_child(stack).kill()
    time.sleep(PAUSE_MILLISECONDS / 1000)  # the suspended server does not reply to this process either
    wait_for(lambda: stack.engine.event_totals.of("t") == Totals(applied=EVENTS), SECONDS)


def test_a_chunk_survives_a_broker_that_takes_nothing_back(
    stack: Stack, broker: redis.Redis, state: ExitStack, state_port: int, tmp_path: Path
) -> None:
    """The state is unavailable, so the chunk must be retried; the broker is full, so the retry cannot be queued.

    Or a retry that was queued just before cannot be removed.
    """
    chunk_id = accept(stack)
    state.close()
    send(stack, chunk_id)
    wait_for(lambda: chunks_in_hand(stack, broker), SECONDS)
    broker.config_set("maxmemory", 1)
    wait_for(lambda: any(each in stack.log() for each in ("cannot be queued again yet", "reached its maxmemory")), SECONDS)
    broker.config_set("maxmemory", 0)
    with embedded("valkey", str(tmp_path / "state"), str(state_port)):
        wait_for(lambda: stack.engine.event_totals.of("t").applied == EVENTS, SECONDS)
        assert stack.stop() == 0


def test_readiness_tells_that_kafka_is_away(tmp_path: Path) -> None:
    """The bridge reports that it waits if no broker responds."""
    with ExitStack() as kafka:
        address = kafka.enter_context(embedded("kafka", "mastery.events", "mastery.dlq", "mastery.results"))
        with Stack(tmp_path / "data", MASTERY_KAFKA_BOOTSTRAP=address) as stack:
            kafka.close()

            def told() -> dict[str, list[str]]:
                answer = requests.get(f"{stack.running.http_url}/ready", timeout=10)
                details: dict[str, list[str]] = {} if answer.ok else answer.json()["error"]["details"]
                return details

            wait_for(lambda: told().get("bridge") == ["is waiting"], SECONDS)
