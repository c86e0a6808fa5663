"""The real servers that tests use: a Valkey, two Kafka brokers and a whole stack, each started once and stopped at the end.

``make test`` runs tests in several processes, each with its own servers. Test names must be the same in all: no random ids.

``MASTERY_TEST_REDIS_URL`` and ``MASTERY_TEST_KAFKA_BOOTSTRAP`` run the same tests on your own servers.
"""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings, load_settings
from app.errors import DependencyUnavailable
from cli.stack.embedded import embedded
from tests.apache_kafka import apache_kafka as serve_apache_kafka
from tests.identity_provider import EC, RSA, IdentityProvider, jwk
from tests.kafka_jars import fetch_jars
from tests.stack import Stack, wait_for

# A shell starts background jobs with SIGINT ignored, and so would be every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"

# A fixed time for tests that set the clock: a Wednesday noon.
NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)

TOPIC_SECONDS = 30.0  # it takes milliseconds; the first one of a new broker takes more


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey for all tests; each uses its own key prefix."""
    if given := os.environ.get("MASTERY_TEST_REDIS_URL"):
        yield given
        return
    with embedded("valkey", str(tmp_path_factory.mktemp("valkey")), "0") as url:
        yield url


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """A Kafka broker for all tests; each uses its own topics and groups."""
    if given := os.environ.get("MASTERY_TEST_KAFKA_BOOTSTRAP"):
        yield given
        return
    with embedded("kafka") as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The jars of Apache Kafka. Skips without Java 17 or without Maven to download them, but fails in CI."""
    try:
        return fetch_jars()
    except DependencyUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def apache_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Apache Kafka for all tests that do not kill it; each uses its own topics and groups."""
    if given := os.environ.get("MASTERY_TEST_KAFKA_BOOTSTRAP"):
        yield given
        return
    jars: Path = request.getfixturevalue("kafka_jars")
    folder = tmp_path_factory.mktemp("apache-kafka")
    with (
        (folder / "kafka.log").open("wb") as log,
        serve_apache_kafka(folder, jars, log=log) as bootstrap_servers,
    ):
        yield bootstrap_servers


@pytest.fixture(params=["embedded", "apache"])
def any_kafka(request: pytest.FixtureRequest) -> str:
    """Each kind of Kafka broker: the embedded one, and a real Apache Kafka."""
    bootstrap_servers: str = request.getfixturevalue("kafka_bootstrap" if request.param == "embedded" else "apache_kafka")
    return bootstrap_servers


def make_topics(bootstrap_servers: str, *topics: str) -> None:
    """Create topics in the broker's own way, with four partitions, and return when each can be written and read."""
    client = Producer({"bootstrap.servers": bootstrap_servers})

    def is_served(topic: str) -> bool:
        found = client.list_topics(topic, timeout=TOPIC_SECONDS).topics[topic]  # which creates it if it does not exist
        return bool(found.partitions) and all(each.leader >= 0 and each.error is None for each in found.partitions.values())

    for topic in topics:
        wait_for(lambda topic=topic: is_served(topic), TOPIC_SECONDS)  # type: ignore[misc]


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Settings that isolate a test from all others."""
    return load_settings({"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"})


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An empty engine on the real store, at noon of 2026-10-28."""
    made = bootstrap(settings, clock=lambda: NOW)
    yield made
    made.redis.close()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """With a key of each kind."""
    running = IdentityProvider()
    running.keys = [jwk(RSA, "rsa-1"), jwk(EC, "ec-1")]
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests that only need any: each uses its own students, tenants and tokens."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real events. Skips on a machine without it, but fails in CI."""
    folder = SHARED / "data"
    if not folder.is_dir():
        reason = f"{folder} is not there: the real events do not come with the project"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
