"""What all runs share: the real events, the seed, and the number of faults."""

import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import DependencyUnavailable
from tests.chaos.broker import ApacheKafka, LastingBroker
from tests.chaos.records import RealEvents, read_events
from tests.kafka_jars import fetch_jars


@pytest.fixture(scope="session")
def real_events(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RealEvents:
    """The events of the last weeks, and some that are expired."""
    today = datetime.now(UTC).date()
    return read_events(shared_data / "oulad_dev.ndjson.gz", today, tmp_path_factory.mktemp("events"))


@pytest.fixture(scope="session")
def reference(shared_data: Path) -> Path:
    """The reference computation that the engine must agree with."""
    return shared_data.parent / "reference" / "mastery_reference.py"


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line at once, whatever the test's result: a run that hangs must have printed its seed."""

    def write(line: str) -> None:
        if terminal := request.config.pluginmanager.get_plugin("terminalreporter"):
            with capsys.disabled():
                terminal.ensure_newline()
                terminal.write_line(line)

    return write


@pytest.fixture
def seed() -> int:
    """The seed that CHAOS_SEED names, or a new one."""
    return int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))


@pytest.fixture
def lasting_broker() -> Iterator[LastingBroker]:
    """A separate embedded broker for a test."""
    broker = LastingBroker()
    broker.start()
    yield broker
    broker.put_away()


@pytest.fixture
def mortal_broker(tmp_path: Path) -> Iterator[ApacheKafka]:
    """A separate real Kafka for a test. Skips on a machine that cannot run one, but fails in CI."""
    try:
        jars = fetch_jars()
    except DependencyUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    broker = ApacheKafka(tmp_path / "kafka", jars)
    try:
        broker.start()
        broker.create_topics()
        yield broker
    finally:
        broker.put_away()
