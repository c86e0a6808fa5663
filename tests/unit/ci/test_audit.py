"""The verdict of ``make audit``: what was found, and whether everything was checked. Its tools are replaced by stubs."""

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
    """Output and exit codes of the three tools."""
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
        ("", 0, 0, 3, NOT_COMPLETE),  # no response
        (json.dumps(SKIPPED), 0, 0, 3, NOT_COMPLETE),
        ("", 1, 0, 1, NOT_COMPLETE),  # a finding has priority
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
    """The exit code is 0 for no finding, 1 for a finding, 3 for an incomplete check; the last line says which."""
    monkeypatch.setattr(audit, "_run", tools(dependencies, code=code, secrets=secrets))
    assert audit.main() == exit_code
    assert capsys.readouterr().out.splitlines()[-1] == last_line


def test_the_reason_is_shown(audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of pip-audit says why no dependency was checked."""
    monkeypatch.setattr(audit, "_run", tools(""))
    audit.main()
    assert "pip-audit: no connection\n" in capsys.readouterr().out
