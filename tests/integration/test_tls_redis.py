"""Redis over TLS: the state, Celery's broker and results, and Flower; and servers that are rejected, with the reason."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from api.application import create_app
from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from app.storage.redis_client import connect
from cli.stack.ports import claim_port
from consumers.kafka_event_log import KafkaEventLog
from tests.certificates import Authority, Pair, old_server
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

SECONDS = 30.0
SECONDS_UNTIL_TOLD = 2.0  # it is tried three times, within 150 ms


class Authorities:
    """An authority that the engine trusts, and another."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.other = Authority(folder / "ours"), Authority(folder / "other")
        self.server = self.ours.issue("127.0.0.1")
        self.client = self.ours.issue("engine")
        self.stranger = self.other.issue("stranger")


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("certificates"))


@contextmanager
def redis_over_tls(folder: Path, authorities: Authorities, *, clients: str) -> Iterator[int]:
    """A Redis that speaks nothing but TLS: its port. ``clients``: whether they need a certificate ("yes", "no").

    Skips where none is installed, and fails in CI.
    """
    server = shutil.which("redis-server")
    if server is None:
        reason = "redis-server is not installed, and the embedded Valkey is built without TLS"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    port = claim_port()
    files = {"cert": authorities.server.certificate, "key": authorities.server.key, "ca-cert": authorities.ours.file}
    command = [server, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    command += [part for name, path in files.items() for part in (f"--tls-{name}-file", path)]
    process = subprocess.Popen([*command, "--tls-auth-clients", clients], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(port), SECONDS)
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, authorities: Authorities) -> Iterator[int]:
    """Of a Redis that accepts any client."""
    with redis_over_tls(tmp_path_factory.mktemp("redis"), authorities, clients="no") as port:
        yield port


@pytest.fixture(scope="module")
def mutual_port(tmp_path_factory: pytest.TempPathFactory, authorities: Authorities) -> Iterator[int]:
    """Of a Redis that requires client certificates."""
    with redis_over_tls(tmp_path_factory.mktemp("redis-mutual"), authorities, clients="yes") as port:
        yield port


def client(url: str, authority: Authority | None = None, pair: Pair | None = None) -> redis.Redis:
    """The engine's own client."""
    files = {"CA_FILE": authority.file if authority else "", "CERT_FILE": pair and pair[0], "KEY_FILE": pair and pair[1]}
    given = {f"MASTERY_REDIS_{name}": path for name, path in files.items() if path}
    return connect(load_settings({"MASTERY_REDIS_URL": url, **given}))


def test_what_is_sent_is_encrypted(port: int, authorities: Authorities) -> None:
    """With TLS 1.3 if both support it; the server has no other port."""
    with client(f"rediss://127.0.0.1:{port}/0", authorities.ours) as ours:
        assert ours.ping()
        connection: Any = ours.connection_pool.get_connection()
        assert connection._sock.version() == "TLSv1.3"
        ours.connection_pool.release(connection)
    with client(f"redis://127.0.0.1:{port}/0") as plain, pytest.raises(DependencyUnavailable):
        plain.ping()


def test_a_client_shows_its_certificate(mutual_port: int, authorities: Authorities) -> None:
    """If the server requires one; without it, or with a foreign one, commands fail."""
    url = f"rediss://127.0.0.1:{mutual_port}/0"
    with client(url, authorities.ours, authorities.client) as ours:
        assert ours.ping()
    for pair in (None, authorities.stranger):
        with client(url, authorities.ours, pair) as refused, pytest.raises(DependencyUnavailable):
            refused.ping()


UNTRUSTED: dict[str, tuple[Callable[[Authorities], Authority | None], str, str]] = {
    "another's authority": (lambda all_: all_.other, "127.0.0.1", "its certificate is refused: "),
    "an authority that the system does not know": (lambda _: None, "127.0.0.1", "its certificate is refused: "),
    "another host's name": (lambda all_: all_.ours, "localhost", "its certificate is refused: Hostname mismatch"),
}


@pytest.mark.parametrize("why", UNTRUSTED)
def test_a_server_that_cannot_be_trusted_is_refused(why: str, port: int, authorities: Authorities) -> None:
    """At once, with the reason."""
    choose, host, reason = UNTRUSTED[why]
    with client(f"rediss://{host}:{port}/0", choose(authorities)) as ours:
        began = time.monotonic()
        with pytest.raises(DependencyUnavailable, match=f"redis is unavailable: {reason}"):
            ours.ping()
        assert time.monotonic() - began < SECONDS_UNTIL_TOLD


def test_readiness_says_why_redis_is_refused(port: int, authorities: Authorities) -> None:
    """For operators of the engine."""
    own = {"MASTERY_REDIS_URL": f"rediss://127.0.0.1:{port}/0", "MASTERY_REDIS_CA_FILE": authorities.other.file}
    engine = bootstrap(load_settings(own))
    answer = create_app(engine, KafkaEventLog(engine.settings)).test_client().get("/ready")
    assert answer.status_code == 503
    assert answer.get_json()["error"]["details"]["redis"][0].startswith("is unavailable: its certificate is refused: ")
    engine.redis.close()


def test_tls_below_1_2_is_refused(authorities: Authorities) -> None:
    """Even for a client that allows every cipher (as a URL can in development): the engine sets the version."""
    with old_server(authorities.ours) as (port, spoken):
        weak = client(f"rediss://127.0.0.1:{port}/0?ssl_ciphers=ALL:@SECLEVEL=0", authorities.ours)
        with weak, pytest.raises(DependencyUnavailable, match="PROTOCOL"):
            weak.ping()
    assert spoken == ["TLSv1.1"]  # the previous version


def test_the_whole_engine_runs_over_tls(tmp_path: Path, mutual_port: int, authorities: Authorities) -> None:
    """State, tasks and results: an event over HTTP is recorded, a task's result is returned, beat's tasks run."""
    variables = {
        "MASTERY_REDIS_URL": f"rediss://127.0.0.1:{mutual_port}/0",
        "MASTERY_REDIS_CA_FILE": authorities.ours.file,
        "MASTERY_REDIS_CERT_FILE": authorities.client.certificate,
        "MASTERY_REDIS_KEY_FILE": authorities.client.key,
    }
    with Stack(tmp_path / "stack", **variables) as stack:
        url, headers = stack.running.http_url, {"Authorization": f"Bearer {stack.token(tenant='t-1')}"}
        event = quiz(timestamp=datetime.now(UTC).isoformat())
        sent = requests.post(f"{url}/mastery/ingest", json={"events": [event]}, headers=headers, timeout=SECONDS)
        assert sent.status_code == 202, sent.text
        wait_for(lambda: stack.engine.event_totals.of("t-1").applied == 1, SECONDS)
        answer = requests.post(f"{url}/mastery/calculate", json={"student_id": "s-1"}, headers=headers, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        del stack.environment["MASTERY_REDIS_URL"]  # commands get it from the stack, and the files from their settings
        doctor = stack.mastery("doctor")
        assert [line.split()[0] for line in doctor.stdout.splitlines()[-5:]] == ["✓"] * 5
        flower = requests.Session()
        flower.auth = ("mastery", "mastery")
        sweeps = f"{stack.running.flower_url}/api/tasks?taskname=events.sweep&state=SUCCESS"
        wait_for(lambda: bool(flower.get(sweeps, timeout=SECONDS).json()), SECONDS)
        queues = flower.get(f"{stack.running.flower_url}/api/queues/length", timeout=SECONDS)
        assert {queue["name"] for queue in queues.json()["active_queues"]} >= {"events"}
        stack.environment["MASTERY_REDIS_CA_FILE"] = authorities.other.file
        refused = stack.mastery("doctor", check=False)
        for part in ("redis", "broker", "worker"):
            assert f"✗ {part}: is unavailable: its certificate is refused: " in refused.stdout
