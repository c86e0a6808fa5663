"""``mastery health``: whether one process lives, as probes ask it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.commands.health import SILENT_SECONDS
from cli.stack.ports import claim_port
from tests.integration.test_beat_readiness import held
from tests.stack import Stack, without_settings


@pytest.mark.parametrize(
    ("role", "answer"),
    [
        ("api", "the API answers"),
        ("worker", f"celery@{socket.gethostname()} answers"),
        ("beat", f"celerybeat@{socket.gethostname()} answers"),
        ("bridge", "the bridge touches its heartbeat file"),
    ],
)
def test_a_process_that_lives(stack: Stack, role: str, answer: str) -> None:
    """Exit code 0, and a line for people."""
    said = stack.mastery("health", role)
    assert (said.returncode, said.stdout.strip(), said.stderr) == (0, answer, "")


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_process_that_hangs(stack: Stack, role: str) -> None:
    """Exit code 1, and who does not answer; the other one, which listens to the same pings, does not answer in its place."""
    with held(stack, role):
        said = stack.mastery("health", role, check=False)
        others = [stack.mastery("health", other, check=False).returncode for other in ("api", "bridge")]
    assert (said.returncode, "does not answer within 5 s" in said.stderr, others) == (1, True, [0, 0]), said.stderr
    assert "Traceback" not in said.stderr


def test_another_node(stack: Stack) -> None:
    """Only that one is asked."""
    said = stack.mastery("health", "worker", "--node", "celery@elsewhere", check=False)
    assert (said.returncode, "celery@elsewhere does not answer" in said.stderr) == (1, True), said.stderr


def mastery(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command where no stack runs."""
    environment = without_settings() | {"MASTERY_DATA_DIR": str(folder), **variables}
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_api_that_is_not_there(tmp_path: Path) -> None:
    """Where the settings say that it listens."""
    said = mastery(tmp_path, "health", "api", MASTERY_HTTP_PORT=str(claim_port()))
    assert (said.returncode, said.stderr) == (1, "Error: the API does not answer\n")


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_no_broker(tmp_path: Path, role: str) -> None:
    """Then nobody can be asked, and the reason says so."""
    said = mastery(tmp_path, "health", role, MASTERY_REDIS_URL=f"redis://127.0.0.1:{claim_port()}/0")
    assert (said.returncode, said.stderr.startswith("Error: broker"), "Traceback" in said.stderr) == (1, True, False), (
        said.stderr
    )


def test_a_bridge_that_is_silent(tmp_path: Path) -> None:
    """By the age of its file, or without one."""
    said = mastery(tmp_path, "health", "bridge")
    assert (said.returncode, "No such file" in said.stderr) == (1, True), said.stderr
    file = tmp_path / "bridge.heartbeat"
    file.touch()
    assert mastery(tmp_path, "health", "bridge").returncode == 0
    old = time.time() - SILENT_SECONDS - 5
    os.utime(file, (old, old))
    said = mastery(tmp_path, "health", "bridge")
    assert (said.returncode, "has not touched its heartbeat file for 3" in said.stderr) == (1, True), said.stderr
