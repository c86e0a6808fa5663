"""``mastery run`` becomes the process of a role, as the container's entrypoint needs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from app.config.settings import load_settings
from cli.stack.ports import claim_port
from cli.stack.roles import ROLES, role_command
from tests.production import PRODUCTION
from tests.stack import wait_for, without_settings

START_SECONDS, STOP_SECONDS = 60.0, 30.0


def start(role: str, environment: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start it as PID 1 of a container would be, with the data folder as the only place to write to."""
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "cli.main", "run", role]
        given = {**without_settings(), "MASTERY_DATA_DIR": str(folder), **environment}
        return subprocess.Popen(command, env=given, stdout=log, stderr=log)


@pytest.mark.parametrize("role", ROLES)
def test_it_becomes_the_role_s_process(role: str, tmp_path: Path) -> None:
    """The same process id, so that signals reach the role; and the command line that `mastery up` uses."""
    process = start(role, PRODUCTION, tmp_path)
    try:
        command = role_command(role, load_settings(PRODUCTION))
        wait_for(lambda: psutil.Process(process.pid).cmdline() == command, START_SECONDS)
    finally:
        process.kill()
        process.wait()


def test_sigterm_ends_it(redis_url: str, tmp_path: Path) -> None:
    """The API answers, and ends with 0 within a container's grace period."""
    port = claim_port()
    servers = {"MASTERY_REDIS_URL": redis_url, "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:1"}  # it sends no event
    api = start("api", {**servers, "MASTERY_KEY_PREFIX": "run", "MASTERY_HTTP_PORT": str(port)}, tmp_path)
    try:
        wait_for(lambda: _is_healthy(port), START_SECONDS)
        api.send_signal(signal.SIGTERM)
        assert api.wait(STOP_SECONDS) == 0
    finally:
        api.kill()
        api.wait()


def test_wrong_settings_are_reported_once(tmp_path: Path) -> None:
    """One line, before the process of the role is started."""
    environment = os.environ | PRODUCTION | {"MASTERY_AUDIT_KEY": "short", "MASTERY_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "cli.main", "run", "bridge"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert (ended.returncode, ended.stderr) == (1, "Error: MASTERY_AUDIT_KEY: needs at least 32 bytes in production\n")


def _is_healthy(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=2).ok
    except requests.RequestException:
        return False
