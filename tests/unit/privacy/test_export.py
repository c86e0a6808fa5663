"""An export: what is in it, its hash, and its two formats."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from app.errors import NotFound
from app.privacy.export_json import json_parts
from app.privacy.export_student import StudentExport, export_student
from app.privacy.export_zip import zip_parts
from app.storage.exported import Exported, ExportedRow, utc_text

AT = datetime(2026, 10, 28, 12, tzinfo=UTC)
PRIVACY = Path(__file__).parents[3] / "docs" / "privacy.md"
COLUMNS = {"id": "an id", "share": "0..1", "is_so": "whether it is so", "text": "any text"}
ROWS: list[ExportedRow] = [
    {"id": "-A1", "share": 1e-06, "is_so": True, "text": 'a "b",\nc'},
    {"id": "s", "share": 0.1 + 0.2, "is_so": False, "text": "Zoë 学"},
    {"id": "x", "share": None, "is_so": None, "text": None},
]


def table(*rows: ExportedRow) -> Exported:
    return Exported("A row of the test.", COLUMNS, lambda: iter(rows))


EXPORT = StudentExport("s-1", AT, {"many": table(*ROWS), "none": table()})


def parsed(export: StudentExport) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(b"".join(json_parts(export)))
    return data


def documented_check(heading: str) -> str:
    """The lines of Python in a section of docs/privacy.md."""
    _, _, section = PRIVACY.read_text().partition(f"\n## {heading}\n")
    (code,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(code)


def archive(export: StudentExport) -> ZipFile:
    return ZipFile(io.BytesIO(b"".join(zip_parts(export))))


def test_json_has_the_kinds_with_their_columns_and_rows() -> None:
    """Also a kind without rows."""
    described = {"description": "A row of the test.", "columns": COLUMNS}
    assert parsed(EXPORT) == {
        "student_id": "s-1",
        "exported_at": "2026-10-28T12:00:00Z",
        "kinds": {"many": {**described, "rows": ROWS}, "none": {**described, "rows": []}},
        "sha256": parsed(EXPORT)["sha256"],
    }


def test_the_documented_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/privacy.md accept both formats, and refuse JSON in which a number was changed."""
    code = documented_check("Exporting a student")
    monkeypatch.chdir(tmp_path)
    answer = '{"success":true,"data":' + b"".join(json_parts(EXPORT)).decode() + ',"meta":{}}'
    (tmp_path / "export.zip").write_bytes(b"".join(zip_parts(EXPORT)))
    (tmp_path / "export.json").write_text(answer, encoding="utf-8")
    exec(code, {})
    (tmp_path / "export.json").write_text(answer.replace("0.30000000000000004", "0.3"), encoding="utf-8")
    with pytest.raises(AssertionError):
        exec(code, {})


def test_the_order_of_the_stores_does_not_matter() -> None:
    """The hash is that of the same data in any order."""
    other = EXPORT._replace(kinds={"none": table(), "many": table(*[dict(reversed([*row.items()])) for row in ROWS])})
    assert b"".join(json_parts(other)) == b"".join(json_parts(EXPORT))


def test_the_archive_has_a_csv_file_for_each_kind() -> None:
    """With a header, exact values, and empty fields where nothing is stored; also a file without rows."""
    with archive(EXPORT) as found:
        assert found.testzip() is None
        assert found.namelist() == ["README.txt", "many.csv", "none.csv", "manifest.json"]
        lines = list(csv.reader(io.StringIO(found.read("many.csv").decode(), newline=""), strict=True))
        assert lines == [
            ["id", "share", "is_so", "text"],
            ["-A1", "1e-06", "true", 'a "b",\nc'],
            ["s", "0.30000000000000004", "false", "Zoë 学"],
            ["x", "", "", ""],
        ]
        assert found.read("none.csv") == b"id,share,is_so,text\r\n"


def test_the_archive_explains_itself() -> None:
    """The readme has each column, what is not exported, and the student's rights; the manifest the hash of each other file."""
    with archive(EXPORT) as found:
        readme = found.read("README.txt").decode()
        told = {"Not in it", "Purpose", "Source", "Recipients", "Retention", "Computation", "Rights"}
        assert told == set(re.findall(r"^([A-Z][a-z ]+):", readme, re.MULTILINE))
        assert all(f"  {column}: {meaning}\n" in readme for column, meaning in COLUMNS.items())
        assert {"s-1", "2026-10-28T12:00:00Z", "many.csv:", "none.csv:"} <= set(re.split(r"[ \n]|\.(?=\n)", readme))
        hashes = {name: sha256(found.read(name)).hexdigest() for name in found.namelist() if name != "manifest.json"}
        manifest = json.loads(found.read("manifest.json"))
        assert manifest == {"student_id": "s-1", "exported_at": "2026-10-28T12:00:00Z", "sha256": hashes}


@pytest.mark.parametrize("write", [json_parts, zip_parts])
def test_large_exports_are_written_while_they_are_read(write: Any) -> None:
    """When a part is there, no more rows were read than it has; no part is large."""
    read = 0

    def rows() -> Iterator[ExportedRow]:
        nonlocal read
        for number in range(20_000):
            read += 1
            text = sha256(b"%d" % number).hexdigest()  # does not compress
            yield {"id": text, "share": number / 7, "is_so": None, "text": text}

    sizes, ahead, given = [], [], 0
    for part in write(EXPORT._replace(kinds={"many": Exported("", COLUMNS, rows)})):
        given += len(part)
        sizes.append(len(part))
        ahead.append(read - given // 200)
    assert read == 20_000
    assert len(sizes) > 20
    assert max(sizes) < 200_000
    assert max(ahead[:10]) < 6_000


@pytest.mark.parametrize("write", [json_parts, zip_parts])
def test_a_client_that_leaves_ends_the_export(write: Any) -> None:
    """The writer is closed without an error, and reads no more."""
    parts = write(EXPORT)
    next(parts)
    parts.close()
    assert next(parts, None) is None


class TestExport:
    """Reads the stores one after the other."""

    def test_a_student_of_whom_only_the_last_store_has_something(self) -> None:
        """Is known; the kinds are sorted by name."""
        stores = {"b": lambda *_: table(), "a": lambda *_: table(*ROWS)}
        made = export_student("t", "s-1", stores=stores, now=AT)
        assert list(made.kinds) == ["a", "b"]
        assert list(made.kinds["a"].rows()) == ROWS

    def test_a_student_of_whom_nothing_is_stored(self) -> None:
        """Is not found."""
        with pytest.raises(NotFound):
            export_student("t", "s-1", stores={"a": lambda *_: table()}, now=AT)

    def test_later_stores_are_not_searched_without_need(self) -> None:
        """Since searching batches takes long."""
        stores = {"a": lambda *_: table(*ROWS), "b": lambda *_: Exported("", {}, lambda: pytest.fail("was read"))}
        assert export_student("t", "s-1", stores=stores, now=AT).student_id == "s-1"


def test_moments_are_in_utc() -> None:
    """Whatever their zone."""
    assert utc_text(datetime.fromisoformat("2026-10-28T14:00:00.5+02:00")) == "2026-10-28T12:00:00.500000Z"
