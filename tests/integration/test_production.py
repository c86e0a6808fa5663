"""What is only good for development ends a process in production, with one line that says what to change."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.production import PRODUCTION

# What is wrong, and the line that says so.
REFUSED: dict[str, dict[str, str | None]] = {
    "MASTERY_JWT_SECRET: the development secret is refused in production": {"MASTERY_JWT_SECRET": None},
    "MASTERY_JWT_SECRET: needs at least 32 bytes in production": {"MASTERY_JWT_SECRET": "x" * 31 + " "},
    "MASTERY_JWT_SECRET: needs at least 8 different characters in production": {"MASTERY_JWT_SECRET": "1234567" * 9},
    "MASTERY_AUDIT_KEY: the development secret is refused in production": {"MASTERY_AUDIT_KEY": None},
    "MASTERY_AUDIT_KEY: needs at least 32 bytes in production": {"MASTERY_AUDIT_KEY": "short"},
    "MASTERY_AUDIT_KEY: must not be MASTERY_JWT_SECRET: whoever signs tokens could forge the trail": {
        "MASTERY_AUDIT_KEY": PRODUCTION["MASTERY_JWT_SECRET"] + " "
    },
    "MASTERY_JWT_ALGORITHMS: none is refused; there are ES256, HS256, RS256": {"MASTERY_JWT_ALGORITHMS": "none"},
    "MASTERY_JWT_JWKS_URL: must be https:// in production": {"MASTERY_JWT_JWKS_URL": "http://id.example/keys"},
    "MASTERY_LOG_LEVEL: DEBUG is refused in production, since libraries log what they handle": {"MASTERY_LOG_LEVEL": "DEBUG"},
    "FLASK_DEBUG: is refused in production": {"FLASK_DEBUG": "1"},
    "MASTERY_CORS_ORIGINS: * is refused in production; name the origins": {"MASTERY_CORS_ORIGINS": "https://a.example, *"},
    "MASTERY_FLOWER_PASSWORD: the development password is refused in production": {"MASTERY_FLOWER_PASSWORD": None},
    "MASTERY_FLOWER_PASSWORD: needs at least 15 characters in production": {"MASTERY_FLOWER_PASSWORD": "fourteen chars"},
    "MASTERY_FLOWER_PASSWORD: needs at least 8 different characters in production": {"MASTERY_FLOWER_PASSWORD": "1234567" * 3},
    "FLOWER_UNAUTHENTICATED_API: is refused in production, where Flower needs its password": {
        "FLOWER_UNAUTHENTICATED_API": "true"
    },
    "MASTERY_REDIS_URL: must be set in production, where nothing is embedded": {"MASTERY_REDIS_URL": None},
    "MASTERY_KAFKA_BOOTSTRAP: must be set in production, where nothing is embedded": {"MASTERY_KAFKA_BOOTSTRAP": None},
}
PROCESSES = {
    "api": ["gunicorn", "--config", "python:api.server"],
    "worker": ["celery", "--app", "tasks.celery", "worker"],
    "beat": ["celery", "--app", "tasks.celery", "beat"],
    "flower": ["celery", "--app", "tasks.celery", "flower", "--conf=flowerconfig.py"],
    "bridge": ["consumers"],
    "stack": ["cli.main", "up"],
}


def start(process: str, changes: Mapping[str, str | None]) -> subprocess.CompletedProcess[str]:
    """Start a process in an environment that is fit for production but for these changes; it has to end by itself."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("MASTERY_", "FLOWER_", "FLASK_"))}
    environment = others | {name: value for name, value in {**PRODUCTION, **changes}.items() if value is not None}
    command = [sys.executable, "-m", *PROCESSES[process]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("line", REFUSED)
def test_each_is_refused_with_a_line_of_its_own(line: str) -> None:
    """One thing wrong: one line, and nothing else."""
    ended = start("bridge", REFUSED[line])
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{line}\n")


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_refuses_all_of_it(process: str) -> None:
    """Several things wrong: a line for each, whichever process it is."""
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
    """The file that `mastery up` names is the one beside the code, and it sets a password."""
    script = "from cli.stack import _flower_settings; import runpy; print(runpy.run_path(_flower_settings())['basic_auth'])"
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=str(tmp_path),
        env=os.environ | PRODUCTION,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "['mastery:a password of 15 characters']\n"
