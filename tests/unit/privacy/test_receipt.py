"""The documented check of a receipt."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from app.privacy.erasure import Erasure, receipt_hash
from tests.unit.privacy.test_export import documented_check

RECEIPT = Erasure(
    erasure_id="0c9e8f1a-7e55-4c8c-9d8e-0d3c5f3a2b11",
    pseudonym="0" * 24,
    requested_at=datetime(2026, 10, 28, 12, tzinfo=UTC),
    finished_at=datetime(2026, 10, 28, 12, 0, 0, 250_001, tzinfo=UTC),
    erased={"facts": 1, "results of tasks": 2},
)


def answers(erased: dict[str, int]) -> tuple[str, str]:
    """Those of GET /student/{id}/erasure and GET /audit, whose receipt has these counts."""
    sha256 = receipt_hash(RECEIPT)
    receipt = msgspec.to_builtins(RECEIPT) | {"erased": erased, "status": "done", "sha256": sha256}
    entries = [{"details": {"erasure_id": "of a tenant"}}, {"details": {"sha256": sha256}}]
    return json.dumps({"data": receipt}), json.dumps({"data": {"entries": entries}})


def test_the_documented_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/privacy.md accept a receipt, and refuse one whose counts were changed."""
    code = documented_check("Erasing a student")
    monkeypatch.chdir(tmp_path)
    receipt, audit = answers(dict(RECEIPT.erased))
    (tmp_path / "audit.json").write_text(audit, encoding="utf-8")
    (tmp_path / "receipt.json").write_text(receipt, encoding="utf-8")
    exec(code, {})
    (tmp_path / "receipt.json").write_text(answers({"facts": 0, "results of tasks": 2})[0], encoding="utf-8")
    with pytest.raises(AssertionError):
        exec(code, {})
