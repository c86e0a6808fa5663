"""Development settings end a process in production, with one line that says what to change."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.production import PRODUCTION

PROCESSES = {
    "api": ["gunicorn", "--config", "python:api.server"],
    "worker": ["celery", "--app", "tasks.celery", "worker"],
    "beat": ["celery", "--app", "tasks.celery", "beat"],
    "flower": ["celery", "--app", "tasks.celery", "flower", "--conf=flowerconfig.py"],
    "bridge": ["consumers"],
    "stack": ["cli.main", "up"],
}


def start(process: str, changes: Mapping[str, str | None]) -> subprocess.CompletedProcess[str]:
    """Start a process in a valid production environment with these changes; it must exit by itself."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("MASTERY_", "FLOWER_", "FLASK_"))}
    environment = others | {name: value for name, value in {**PRODUCTION, **changes}.items() if value is not None}
    command = [sys.executable, "-m", *PROCESSES[process]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def test_one_thing_wrong_is_one_line() -> None:
    """There is no other line; tests/unit/config/test_production_settings.py has all settings."""
    ended = start("bridge", {"FLOWER_DEBUG": "1"})
    said = "FLOWER_DEBUG: is refused in production; Flower has the MASTERY_FLOWER_ settings\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    """It is validated like any other."""
    (tmp_path / "key").write_text("short\n")
    ended = start("bridge", {"MASTERY_AUDIT_KEY": None, "MASTERY_AUDIT_KEY_FILE": str(tmp_path / "key")})
    assert (ended.returncode, ended.stderr) == (1, "MASTERY_AUDIT_KEY: needs at least 32 bytes in production\n")


@pytest.mark.parametrize("process", PROCESSES)
def test_development_secrets_are_not_shown_to_the_world(process: str) -> None:
    """Without MASTERY_ENV, every process reports them."""
    ended = start(process, {**dict.fromkeys(PRODUCTION), "MASTERY_HTTP_HOST": "0.0.0.0"})
    assert ended.returncode == 1
    assert ended.stderr.removeprefix("Error: ").splitlines() == [
        f"MASTERY_{name}: the development secret is refused where others can connect: the API listens on 0.0.0.0"
        for name in ("JWT_SECRET", "AUDIT_KEY")
    ]


def test_gunicorn_s_own_options_do_not_show_them_either() -> None:
    """They override the settings, so the actual address is checked."""
    ended = start("api", {**dict.fromkeys(PRODUCTION), "GUNICORN_CMD_ARGS": "--bind 0.0.0.0:0"})
    assert (ended.returncode, "the API listens on 0.0.0.0" in ended.stderr) == (1, True)


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_refuses_all_of_it(process: str) -> None:
    """Several errors give one line each, in every process."""
    changes = dict.fromkeys(("MASTERY_JWT_SECRET", "MASTERY_AUDIT_KEY", "MASTERY_FLOWER_PASSWORD"))
    ended = start(process, changes)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.removeprefix("Error: ").splitlines() == [
        "MASTERY_JWT_SECRET: the development secret is refused in production",
        "MASTERY_AUDIT_KEY: the development secret is refused in production",
        "MASTERY_FLOWER_PASSWORD: the development password is refused in production",
    ]


def test_flower_asks_for_a_password_wherever_it_is_started_from(tmp_path: object) -> None:
    """`mastery up` uses the file beside the code, which sets a password."""
    script = "import runpy; from cli.stack.roles import flower_settings; print(runpy.run_path(flower_settings())['basic_auth'])"
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=str(tmp_path),
        env=os.environ | PRODUCTION,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "['mastery:correct horse battery staple']\n"
