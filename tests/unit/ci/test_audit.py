"""The verdict of ``make audit``: what was found, and whether everything could be looked at. Its tools answer as given here."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
CLEAN = {"dependencies": [{"name": "celery", "version": "5.6.0", "vulns": []}]}
VULNERABLE = {"dependencies": [{"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}
SKIPPED = {"dependencies": [{"name": "x", "skip_reason": "not on the index"}]}
NOT_COMPLETE = "audit: NOT COMPLETE: no dependency was checked, since the vulnerability database cannot be reached"
Answer = subprocess.CompletedProcess[str]


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_audit", ROOT / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tools(dependencies: str, *, code: int = 0, secrets: int = 0) -> Callable[..., Answer]:
    """What the three tools print, and their exit codes."""
    answers = {
        "pip_audit": Answer([], 0, dependencies, "first\nno connection"),
        "bandit": Answer([], code, "", ""),
        "detect_secrets.pre_commit_hook": Answer([], secrets, "", ""),
    }
    return lambda module, *_: answers[module]


@pytest.mark.parametrize(
    ("dependencies", "code", "secrets", "exit_code", "last_line"),
    [
        (json.dumps(CLEAN), 0, 0, 0, "audit: complete"),
        (json.dumps(CLEAN), 0, 3, 0, "audit: complete"),  # the lines of known secrets have moved
        (json.dumps(VULNERABLE), 0, 0, 1, "audit: complete"),
        (json.dumps(CLEAN), 1, 0, 1, "audit: complete"),
        (json.dumps(CLEAN), 0, 1, 1, "audit: complete"),
        ("", 0, 0, 3, NOT_COMPLETE),  # no answer at all
        (json.dumps(SKIPPED), 0, 0, 3, NOT_COMPLETE),
        ("", 1, 0, 1, NOT_COMPLETE),  # what was found counts for more
    ],
)
def test_the_verdict(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dependencies: str,
    code: int,
    secrets: int,
    exit_code: int,
    last_line: str,
) -> None:
    """The exit code tells "nothing found" (0), "found" (1) and "not all could be looked at" (3); the last line says which."""
    monkeypatch.setattr(audit, "_run", tools(dependencies, code=code, secrets=secrets))
    assert audit.main() == exit_code
    assert capsys.readouterr().out.splitlines()[-1] == last_line


def test_the_reason_is_shown(audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Why no dependency was checked, in pip-audit's last line."""
    monkeypatch.setattr(audit, "_run", tools(""))
    audit.main()
    assert "pip-audit: no connection\n" in capsys.readouterr().out
