"""The real parts that tests run on: a Valkey, a Kafka broker and a whole stack, each started once and stopped at the end.

``MASTERY_TEST_REDIS_URL`` and ``MASTERY_TEST_KAFKA_BOOTSTRAP`` make the same tests run on servers of your own.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from app.bootstrap import Engine, bootstrap
from app.settings import Settings, load_settings
from cli.embedded import embedded
from tests.stack import Stack

SHARED = Path(__file__).resolve().parents[2] / "shared"

# A fixed moment for tests that choose theirs: a Wednesday noon.
NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey for all tests; each takes a key prefix of its own."""
    if given := os.environ.get("MASTERY_TEST_REDIS_URL"):
        yield given
        return
    with embedded("valkey", str(tmp_path_factory.mktemp("valkey")), "0") as url:
        yield url


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """A Kafka broker for all tests; each takes topics and groups of its own."""
    if given := os.environ.get("MASTERY_TEST_KAFKA_BOOTSTRAP"):
        yield given
        return
    with embedded("kafka") as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Settings under which nothing of another test is seen."""
    return load_settings({"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"})


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An empty engine on the real store, at noon of 2026-10-28."""
    made = bootstrap(settings, clock=lambda: NOW)
    yield made
    made.redis.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests that only need some: they take students, tenants and tokens of their own."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real events. Skips on a machine that has none, and fails in CI, where it must be there."""
    folder = SHARED / "data"
    if not folder.is_dir():
        reason = f"{folder} is not there: the real events do not come with the project"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
