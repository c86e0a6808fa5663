"""Nothing about a student outlives the retention: every kind of key is filled, and the clock is moved beyond it.

Worker and beat are real processes; only their engine's clock is ahead. Redis's own clock cannot be moved: what it would have
expired by then is deleted here.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
import redis

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.events.chunk import Chunk, SourceRecord
from app.health.removal_counts import Removed
from app.storage.key_kinds import CATALOGUE, KeyKind
from app.storage.keys import Keys
from tests.conftest import NOW
from tests.contracts.store_call import STUDENT
from tests.contracts.store_calls import store_calls
from tests.contracts.test_keys import expression
from tests.learning_events import quiz
from tests.stack import wait_for, without_settings

ROOT = Path(__file__).resolve().parents[2]
RETENTION = timedelta(days=90)
ELAPSED = RETENTION + timedelta(days=3)  # the day of the evidence, and the margin of erasures: their pseudonyms go last
SECONDS = 90.0
# Runs Celery with the engine's clock ahead by some seconds.
CELERY = """
import sys
from datetime import timedelta
import app.clock

system_clock, ahead = app.clock.system_clock, timedelta(seconds=float(sys.argv.pop(1)))
app.clock.system_clock = lambda: system_clock() + ahead
from celery.__main__ import main
main()
"""
# Personal data that stays for a time of its own, under pseudonyms: the trail, and receipts of erasures beside it.
EXEMPT = {"audit", "erasure"}


@pytest.fixture
def engine(redis_url: str) -> Iterator[Engine]:
    """An empty engine."""
    settings = load_settings({"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"retention-{uuid4().hex[:12]}"})
    made = bootstrap(settings)
    yield made
    made.redis.close()


@contextmanager
def processes(engine: Engine, folder: Path, ahead: timedelta) -> Iterator[Path]:
    """A worker and a beat whose engine's clock is ahead. Gives their log."""
    environment = {
        **without_settings(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MASTERY_REDIS_URL": engine.settings.redis_url,
        "MASTERY_KEY_PREFIX": engine.settings.key_prefix,
        "MASTERY_DATA_DIR": str(folder / "data"),
    }
    log = folder / "log"
    command = [sys.executable, "-c", CELERY, str(ahead.total_seconds()), "-A", "tasks.celery"]
    with log.open("ab") as output:
        started = [
            subprocess.Popen([*command, name], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
            for name in ("worker", "beat")
        ]
    try:
        yield log
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait(SECONDS)


def fill(engine: Engine) -> None:
    """Everything that stores can hold of a student, by all of their calls; and an event that no worker has recorded yet."""
    for call in store_calls(engine).values():
        call.make()
    for name in engine.redis.hkeys(keys(engine).chunks()):  # their records are no events
        engine.ledger.finish(name.decode())
    now = engine.clock()
    event = quiz(student_id=STUDENT, tenant_id="t", timestamp=now.isoformat())
    engine.ledger.accept(Chunk("mastery.events", now, [SourceRecord(0, 0, msgspec.json.encode(event))]))


def keys(engine: Engine) -> Keys:
    return Keys(engine.settings.key_prefix)


def kind_of(engine: Engine, key: bytes) -> tuple[str, KeyKind] | None:
    """The kind of a key, by its name in the catalogue; None for one of Celery's, and for leases of the calls."""
    patterns = zip(Keys.patterns(engine.settings.key_prefix), CATALOGUE.items(), strict=True)
    return next((kind for pattern, kind in patterns if re.fullmatch(expression(pattern), key.decode())), None)


def expire(engine: Engine, elapsed: timedelta) -> None:
    """Delete what Redis would have expired by then."""
    for key in engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"):
        if 0 <= cast("int", engine.redis.ttl(key)) <= elapsed.total_seconds():
            engine.redis.delete(key)


def dump(client: redis.Redis, prefix: str) -> dict[bytes, bytes]:
    """Every key and its whole content, readable."""
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"stream": client.xrange,
    }
    return {key: repr(read[cast("bytes", client.type(key))](key)).encode() for key in client.scan_iter(f"{prefix}:*")}


def test_nothing_outlives_it(engine: Engine, tmp_path: Path) -> None:
    """A day after the last evidence expired, no key names the student, and none holds personal data except the audit trail."""
    fill(engine)
    prefix = engine.settings.key_prefix
    filled = dump(engine.redis, prefix)
    ahead = max(datetime.now(UTC), NOW) - datetime.now(UTC) + ELAPSED

    def personal() -> list[bytes]:
        expire(engine, ELAPSED)
        kinds = {key: kind_of(engine, key) for key in dump(engine.redis, prefix)}
        return [key for key, kind in kinds.items() if kind is not None and kind[1].is_personal and kind[0] not in EXEMPT]

    assert {each for key in filled if (kind := kind_of(engine, key)) and (each := kind[0])} >= {
        name for name, kind in CATALOGUE.items() if kind.is_personal
    }
    with processes(engine, tmp_path, ahead) as log:
        try:
            wait_for(lambda: personal() == [], 30)
        except AssertionError:
            print(log.read_text()[-3000:])
            print(personal())
            raise
    left = dump(engine.redis, prefix)
    assert [key for key, value in left.items() if STUDENT.encode() in key + value] == []
    for what in Removed:
        print(what, engine.removal_counts.read()[what])
    print([k for k in left])
    assert STUDENT not in log.read_text()
