"""Redis is killed repeatedly under a real worker that is processing chunks: the worker continues at once, without loss.

There is no beat and so no sweep: a chunk that the worker loses would wait for the visibility timeout.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from app.events.chunk import Chunk, SourceRecord
from tasks.timing import VISIBILITY_TIMEOUT_SECONDS
from tests.chaos.process import Part
from tests.chaos.valkey import Fsync, Valkey
from tests.learning_events import activity
from tests.malformed import task
from tests.stack import wait_for, without_settings

ROUNDS = int(os.environ.get("RESTARTS", "3"))  # RESTARTS=40 by hand: without the fix, a third of them end the worker
CHUNKS, EVENTS = 40, 50
RECOVERY_SECONDS = 5.0  # including the work of a round; without the fix it was 10, and 34 for a chunk in progress
START_SECONDS = 60.0
OUTAGE_SECONDS = 6.0  # attempts are a second apart
FEW_LINES = 4  # those two, and the same for the worker's periodic work
QUEUE = "mastery:celery:events"
IN_HAND = "mastery:celery:unacked"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey", Fsync.EVERYSEC, tmp_path)
    server.start()
    try:
        server.wait_until_loaded()
        yield server
    finally:
        server.put_away()


@contextmanager
def celery(valkey: Valkey, folder: Path, *arguments: str) -> Iterator[Part]:
    """One of Celery's processes while the context lasts."""
    environment = {
        **without_settings(),
        "MASTERY_REDIS_URL": valkey.url,
        "MASTERY_DATA_DIR": str(folder),
        "PYTHONUNBUFFERED": "1",
    }
    part = Part(arguments[0], [sys.executable, "-m", "celery", "--app", "tasks.celery", *arguments], environment, folder)
    part.start()
    try:
        yield part
    finally:
        part.put_away()


@pytest.fixture
def worker(valkey: Valkey, tmp_path: Path) -> Iterator[Part]:
    with celery(valkey, tmp_path, "worker", "--concurrency", "2") as part:
        yield part


@pytest.fixture
def engine(valkey: Valkey) -> Iterator[Engine]:
    made = bootstrap(load_settings({"MASTERY_REDIS_URL": valkey.url}))
    yield made
    made.redis.close()


def send(engine: Engine) -> None:
    """Chunks in flight and their tasks, like from the bridge."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for _ in range(CHUNKS):
        events = [activity(tenant_id="t", student_id=f"s-{number}", timestamp=yesterday) for number in range(EVENTS)]
        records = [SourceRecord(0, offset, json.dumps(event).encode()) for offset, event in enumerate(events)]
        accepted = engine.ledger.accept(Chunk("mastery.events", datetime.now(UTC), records))
        message = task("events.record", [accepted.chunk_id])
        message["properties"]["delivery_info"]["routing_key"] = "events"
        engine.redis.lpush(QUEUE, json.dumps(message))


def is_done(engine: Engine, events: int) -> bool:
    try:
        return engine.event_totals.of("t").applied == events and not engine.redis.hlen(IN_HAND)
    except (redis.RedisError, DependencyUnavailable):
        return False


def test_a_worker_outlives_its_redis(valkey: Valkey, worker: Part, engine: Engine) -> None:
    """The worker's process survives, and so does every chunk, whether waiting, prefetched or being recorded."""
    moments, recoveries = random.Random(7), []
    wait_for(lambda: "ready." in worker.tail(), START_SECONDS)
    for number in range(1, ROUNDS + 1):
        send(engine)
        wait_for(lambda: bool(engine.redis.hlen(IN_HAND)), START_SECONDS)
        time.sleep(moments.random() * 0.2)
        valkey.kill()
        time.sleep(moments.random())
        valkey.start()
        valkey.wait_until_loaded()
        back = time.monotonic()
        send(engine)
        wait_for(lambda number=number: is_done(engine, 2 * number * CHUNKS * EVENTS), VISIBILITY_TIMEOUT_SECONDS - 10)  # type: ignore[misc]
        recoveries.append(time.monotonic() - back)
        assert worker.exit_code() is None, worker.tail()
    assert min(recoveries) < RECOVERY_SECONDS, recoveries  # of all rounds: other tests may have slowed down the others
    assert "Traceback" not in worker.tail()


def test_an_outage_is_a_line_and_its_end_another(valkey: Valkey, worker: Part, engine: Engine, tmp_path: Path) -> None:
    """For each of worker, beat and Flower, however long it lasts; no process logs each attempt, or a traceback."""
    with celery(valkey, tmp_path, "beat") as beat, celery(valkey, tmp_path, "flower", "--conf=flowerconfig.py") as flower:
        parts = (worker, beat, flower)
        wait_for(lambda: "ready." in worker.tail() and "celery.backend_cleanup" in flower.tail(), START_SECONDS)
        wait_for(engine.sweeps.go_on, START_SECONDS)
        before = [len(each.tail()) for each in parts]
        valkey.kill()
        wait_for(lambda: all("broker is unavailable" in each.tail() for each in parts), START_SECONDS)
        time.sleep(OUTAGE_SECONDS)
        valkey.start()
        valkey.wait_until_loaded()
        wait_for(lambda: all("broker is available again" in each.tail() for each in parts), START_SECONDS)
        said = [each.tail()[length:] for each, length in zip(parts, before, strict=True)]
        assert [each.exit_code() for each in parts] == [None, None, None]
    assert [each.count("broker is unavailable") for each in said] == [1, 1, 1], said
    assert [each.count("broker is available again") for each in said] == [1, 1, 1], said
    assert [each for each in said if "Traceback" in each or each.count("\n") > FEW_LINES] == []


@pytest.mark.parametrize(("setting", "well"), [("min-replicas-to-write", 0), ("maxmemory", 0)])
def test_a_redis_that_takes_no_writes_is_waited_for(
    valkey: Valkey, worker: Part, engine: Engine, tmp_path: Path, setting: str, well: int
) -> None:
    """With too few replicas, or full, Redis responds, but worker and beat cannot work; both wait, and log it once."""
    with celery(valkey, tmp_path, "beat") as beat:
        wait_for(lambda: "ready." in worker.tail(), START_SECONDS)
        wait_for(engine.sweeps.go_on, START_SECONDS)
        before = [len(each.tail()) for each in (worker, beat)]
        engine.redis.config_set(setting, 1)
        wait_for(lambda: "broker is unavailable" in beat.tail(), START_SECONDS)
        time.sleep(OUTAGE_SECONDS)
        engine.redis.config_set(setting, well)
        engine.redis.delete("mastery:{.tasks}:swept")
        wait_for(engine.sweeps.go_on, START_SECONDS)
        said = [each.tail()[length:] for each, length in zip((worker, beat), before, strict=True)]
        assert [each.exit_code() for each in (worker, beat)] == [None, None]
    assert [each for each in said if "Traceback" in each or each.count("\n") > FEW_LINES] == []
