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
EMPTY = b"[]"
MUCH_LATER = 10**17  # microseconds


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
    for name in cast(
        "list[bytes]", engine.redis.hkeys(Keys(engine.settings.key_prefix).chunks())
    ):  # their records are no events
        engine.ledger.finish(name.decode())
    now = engine.clock()
    event = quiz(student_id=STUDENT, tenant_id="t", timestamp=now.isoformat())
    engine.ledger.accept(Chunk("mastery.events", now, [SourceRecord(0, 0, msgspec.json.encode(event))]))


def finish_erasures(engine: Engine) -> None:
    """As if the erasures of the calls had been done before the time passed: now they would announce the student once more."""
    while (pending := engine.erasures.next("t", MUCH_LATER)) is not None:
        receipt = engine.erasures.finish("t", pending)
        assert receipt is not None
        engine.erasures.close("t", receipt)
    engine.erasures.forget("t", MUCH_LATER)


def kind_of(engine: Engine, key: bytes) -> tuple[str, KeyKind] | None:
    """The kind of a key, by its name in the catalogue; None for one of Celery's, and for leases of the calls."""
    patterns = zip(Keys.patterns(engine.settings.key_prefix), CATALOGUE.items(), strict=True)
    return next((kind for pattern, kind in patterns if re.fullmatch(expression(pattern), key.decode())), None)


def expire(engine: Engine, elapsed: timedelta) -> None:
    """Delete what Redis would have expired by then."""
    for key in engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"):
        if 0 <= engine.redis.ttl(key) <= elapsed.total_seconds():
            engine.redis.delete(key)


def dump(engine: Engine) -> dict[bytes, bytes]:
    """Every key and its whole content, readable."""
    client = engine.redis
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"stream": client.xrange,
        b"none": lambda _key: "",  # removed meanwhile
    }
    return {
        key: repr(read[cast("bytes", client.type(key))](key)).encode()
        for key in client.scan_iter(f"{engine.settings.key_prefix}:*")
    }


def personal(engine: Engine) -> list[bytes]:
    """The keys with personal data, except those with a time of their own, after this time. An empty stream has none."""
    found = {key: kind_of(engine, key) for key, value in dump(engine).items() if value != EMPTY}
    return [key for key, kind in found.items() if kind is not None and kind[1].is_personal and kind[0] not in EXEMPT]


def test_nothing_outlives_it(engine: Engine, tmp_path: Path) -> None:
    """When the retention is over, no key but the trail names the student, and only the trail and receipts are personal.

    The tasks that beat sends remove what does not expire by itself, and count it.
    """
    fill(engine)
    filled = dump(engine)
    kinds = {kind[0] for key in filled if (kind := kind_of(engine, key))}
    assert {name for name, kind in CATALOGUE.items() if kind.is_personal} <= kinds
    assert len(naming_student(filled)) > len(CATALOGUE) / 4
    finish_erasures(engine)
    ahead = max(datetime.now(UTC), NOW) + ELAPSED - datetime.now(UTC)
    with processes(engine, tmp_path, ahead) as log:
        expire(engine, ELAPSED)
        wait_for(lambda: not personal(engine), SECONDS)
        wait_for(lambda: not engine.ledger.in_flight(), SECONDS)
    expire(engine, ELAPSED)
    assert {kind_of(engine, key) for key in naming_student(dump(engine))} <= {("audit", CATALOGUE["audit"])}  # as a caller
    assert personal(engine) == []
    assert all(count > 0 for what, count in engine.removal_counts.read().items() if what is not Removed.MALFORMED_MESSAGES)
    assert STUDENT not in log.read_text()


def naming_student(dumped: dict[bytes, bytes]) -> list[bytes]:
    """The keys that have the student's id, in their name or in their content."""
    return [key for key, value in dumped.items() if STUDENT.encode() in key + value]
