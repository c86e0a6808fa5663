"""The Makefile's targets, in various folders. ``.ci/prove_setup.py`` tests the set-up itself."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60.0


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make, independently of a make that may have started these tests."""
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("character", list('${}:"`\\'))
def test_a_folder_where_python_cannot_work_is_refused(tmp_path: Path, character: str) -> None:
    """The reason is printed before anything is installed."""
    folder = tmp_path / f"my{character}folder"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    ended = make(folder, "setup")
    assert ended.returncode == 2
    assert f"The path {folder} has one of $ {{ }} : \" ` \\ in it: Python's own tools cannot work there." in ended.stderr
    assert not (folder / ".venv").exists()


def test_help_lists_every_target() -> None:
    """The list explains each target; it includes those named in CONTRIBUTING and README."""
    listed = {line.split()[0] for line in make(ROOT, "help").stdout.splitlines()}
    assert {"setup", "demo", "test", "unit", "format", "check", "audit", "bench", "chaos", "kafka", "lock", "clean"} <= listed


@pytest.mark.parametrize(
    ("target", "command"), [("unit", "-m pytest --quiet tests/unit"), ("format", "ruff format"), ("check", "ruff check")]
)
def test_the_quick_targets_run_the_tools(target: str, command: str) -> None:
    """This compares what make would run, without running it."""
    assert command in make(ROOT, "--dry-run", target).stdout


def test_the_licence_is_the_one_of_the_metadata() -> None:
    """Both say MIT."""
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "license = MIT" in (ROOT / "setup.cfg").read_text()
