"""Each process can be run with its command from docs/architecture.md, and leaves no files in the current folder."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import requests

from cli.stack.ports import claim_port
from tests.stack import wait_for, without_settings

ROOT = Path(__file__).resolve().parents[2]
MISSPELT = "MASTERY_RETENTION_DAY is not a setting and is ignored; did you mean MASTERY_RETENTION_DAYS?"
UP_SECONDS, STOP_SECONDS = 60.0, 30.0
COMMANDS: dict[str, str] = dict(
    re.findall(r"^\| (\w+) \| `((?:gunicorn|celery|python) [^`]+)`", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
)


@pytest.fixture
def environment(redis_url: str, kafka_bootstrap: str, tmp_path: Path) -> dict[str, str]:
    return {
        **without_settings(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MASTERY_REDIS_URL": redis_url,
        "MASTERY_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "MASTERY_KEY_PREFIX": f"hand-{uuid4().hex[:12]}",
        "MASTERY_EVENTS_TOPIC": f"hand-{uuid4().hex[:12]}",
        "MASTERY_DATA_DIR": str(tmp_path / "data"),
        "MASTERY_HTTP_PORT": str(claim_port()),
        "MASTERY_FLOWER_PORT": str(claim_port()),
        "MASTERY_RETENTION_DAY": "30",  # misspelt
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project's folder, in which new files are detected."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "flowerconfig.py", folder)
    yield folder
    assert [each.name for each in folder.iterdir()] == ["flowerconfig.py"]


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_the_table_has_all_of_them() -> None:
    """There are five processes."""
    assert list(COMMANDS) == ["api", "worker", "beat", "bridge", "flower"]


@pytest.mark.parametrize("process", COMMANDS)
def test_each_runs_as_written(process: str, environment: dict[str, str], project: Path) -> None:
    """It works within a minute, reports a misspelt setting once, and shuts down cleanly on SIGTERM."""
    command = COMMANDS[process]
    prefix = environment["MASTERY_KEY_PREFIX"]
    log = project.parent / f"{process}.log"
    with redis.Redis.from_url(environment["MASTERY_REDIS_URL"]) as client, log.open("wb") as output:
        signs: dict[str, Callable[[], bool]] = {
            "api": lambda: answers(f"http://127.0.0.1:{environment['MASTERY_HTTP_PORT']}/health"),
            "worker": lambda: " ready." in log.read_text(),
            "beat": lambda: bool(client.llen(f"{prefix}:celery:maintenance")),
            "bridge": lambda: bool(client.scard(f"{prefix}:{{.events}}:bridges")),
            "flower": lambda: answers(f"http://127.0.0.1:{environment['MASTERY_FLOWER_PORT']}/healthcheck"),
        }
        started = subprocess.Popen(command.split(), cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: signs[process]() or started.poll() is not None, UP_SECONDS)
            assert started.poll() is None, log.read_text()
            started.terminate()
            assert started.wait(STOP_SECONDS) == 0, log.read_text()
            assert log.read_text().count(MISSPELT) == 1
        finally:
            started.kill()


@pytest.mark.parametrize("process", ["worker", "beat", "flower"])
def test_without_a_broker_each_says_so(process: str, environment: dict[str, str], project: Path) -> None:
    """Celery would try RabbitMQ forever."""
    ended = subprocess.run(
        COMMANDS[process].split(),
        cwd=project,
        env={name: value for name, value in environment.items() if name != "MASTERY_REDIS_URL"},
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert "MASTERY_REDIS_URL is not set; `mastery up` starts a stack with an embedded one" in ended.stderr
