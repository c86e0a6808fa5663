"""Every call to a broker that rejects commands reports it as temporarily unavailable; /ready names the dependency."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from app.storage.redis_client import TRANSIENT_CODES
from tests.contracts.ailing_server import STATES, Ailing, Refuses
from tests.stack import without_settings

Ask = Callable[[], dict[str, Any]]

# kombu is the same for each kind of server.
pytestmark = pytest.mark.parametrize("server", ["valkey"], indirect=True, scope="module")

# For each state, what is reported about the server.
TOLD = {
    "readonly": TRANSIENT_CODES["READONLY"],
    "noreplicas": TRANSIENT_CODES["NOREPLICAS"],
    "oom": TRANSIENT_CODES["OOM"],
    "misconf-rdb": TRANSIENT_CODES["MISCONF"],
    "masterdown": TRANSIENT_CODES["MASTERDOWN"],
    "busy": TRANSIENT_CODES["BUSY"],
}
DOCTOR_SECONDS = 60.0
NOBODY = "does not answer"  # reported about the worker: there is none
WELL: dict[str, Any] = {
    "enqueue": "done",
    "enqueue for a result": "done",
    "queued": "done",
    "task_state": "done",
    "ping_broker": "done",
    "ping_worker": f"worker {NOBODY}",
    "a result tells of a student": False,
    "status": 503,
    "/ready": {"worker": [NOBODY], "beat": [f"is unknown: worker {NOBODY}"], "bridge": ["gives no sign of life"]},
}


@pytest.fixture(scope="module")
def ask(server: Ailing) -> Iterator[Ask]:
    """Let the same process make all calls again."""
    server.admin.flushall()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.contracts.broker_calls"],
        env=without_settings() | {"MASTERY_REDIS_URL": server.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:

        def asked() -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            told: dict[str, Any] = msgspec.json.decode(process.stdout.readline())
            return told

        yield asked
        process.terminate()


@pytest.mark.parametrize("state", TOLD)
def test_a_broker_that_refuses(server: Ailing, ask: Ask, state: str) -> None:
    """Rejected calls raise DependencyUnavailable with the reason; afterwards all calls work again."""
    enter, refuses = STATES[state]
    with enter(server):
        told = ask()
    wrong = (
        {TOLD[state], TOLD["readonly"]} if state == "masterdown" else {TOLD[state]}
    )  # for writes it reports that it is a replica
    assert (503, True) == (told["status"], {"redis", "broker", "worker"} <= told["/ready"].keys())
    assert wrong >= {told["/ready"][name][0] for name in ("redis", "broker", "worker")}
    writes = {told[name] for name in ("enqueue", "enqueue for a result", "ping_broker", "ping_worker")}
    assert {f"broker {TOLD[state]}"} == writes
    reads = {told["queued"].removeprefix("broker "), told["task_state"].removeprefix("result backend ")}
    assert (wrong if refuses is Refuses.ALL else wrong | {"done"}) >= reads
    assert not told["a result tells of a student"]
    assert WELL == ask()


def test_a_broker_that_was_restarted(server: Ailing, ask: Ask) -> None:
    """Closed connections are not left in any pool: the first call works."""
    assert WELL == ask()
    server.restart()
    assert WELL == ask()


@pytest.mark.parametrize("state", ["noreplicas", "oom", "misconf-rdb"])
def test_doctor_says_what_a_server_refuses(server: Ailing, kafka_bootstrap: str, state: str) -> None:
    """There is one line per dependency, no traceback, and exit code 1."""
    with STATES[state][0](server):
        said = subprocess.run(
            [sys.executable, "-m", "cli.main", "doctor"],
            env=without_settings() | {"MASTERY_REDIS_URL": server.url, "MASTERY_KAFKA_BOOTSTRAP": kafka_bootstrap},
            capture_output=True,
            text=True,
            timeout=DOCTOR_SECONDS,
            check=False,
        )
    assert said.returncode == 1
    assert "Traceback" not in said.stdout + said.stderr
    for dependency in ("redis", "broker"):
        assert f"✗ {dependency}: {TOLD[state]}" in said.stdout
    assert "✓ kafka: ok" in said.stdout
