"""Writes an export as a ZIP archive of CSV files, in parts. Pure.

The archive has a README.txt that explains the columns, a CSV file for each kind of data, and a manifest.json with the SHA-256
of each of these files.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from app.csv_text import csv_text
from app.privacy.export_json import ROWS_PER_PART, canonical
from app.privacy.export_student import StudentExport
from app.storage.exported import Exported, utc_text
from app.storage.scripts import slices

README, MANIFEST = "README.txt", "manifest.json"

# What article 15 (1) of the GDPR asks for, as far as the engine knows it. The controller knows the rest.
_INTRODUCTION = """\
What the mastery engine stores of the student {student_id}.
Exported at {exported_at}.

Not in it: the audit trail (who read or changed the data), receipts of erasures, failed events (they are encrypted in Kafka),
and the events and results in the topics of the learning platform. Ask the controller for these: the school or company that
offers the platform.

Purpose: to compute how well the student masters the course. The file consent.csv has decisions about other purposes.
Source: events of the learning platform.
Recipients: teachers of the student's cohorts, administrators, services of the platform that read the results, and
the operators of the engine.
Retention: evidence is kept for a number of days, 90 unless the operator has changed it. The controller can say how many.
Computation: mastery is a weighted mean of four components. The engine decides nothing; the controller can say who uses the
results, and for what.
Rights: ask the controller to correct, erase or restrict the data, or object to their use. You may complain to a data
protection authority.

Each CSV file (RFC 4180, UTF-8) has one kind of data. A field is empty where nothing is stored.
manifest.json has the SHA-256 of each file.
"""


class _Output:
    """What the archive has written since the last part. It cannot seek, so sizes and checksums follow each file."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing to do: zipfile requires it."""

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def zip_parts(export: StudentExport) -> Iterator[bytes]:
    """The archive. It holds one part of a file in memory at a time.

    Yields:
        Its parts.
    """
    output, hashes = _Output(), dict[str, str]()
    with ZipFile(output, "w") as archive:  # type: ignore[call-overload]  # zipfile needs no more of a file than this
        for name, texts in _files(export).items():
            digest = sha256()
            with archive.open(_entry(name, export), "w") as file:
                for text in texts:
                    data = text.encode()
                    digest.update(data)
                    file.write(data)
                    if written := output.take():  # zlib keeps a part until it has enough
                        yield written
            hashes[name] = digest.hexdigest()
        archive.writestr(_entry(MANIFEST, export), canonical({**_about(export), "sha256": hashes}))
    yield output.take()


def _files(export: StudentExport) -> Mapping[str, Iterator[str]]:
    files = {f"{name}.csv": _csv(kind) for name, kind in export.kinds.items()}
    return {README: _readme(export), **files}


def _entry(name: str, export: StudentExport) -> ZipInfo:
    at = export.exported_at
    entry = ZipInfo(name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
    entry.compress_type = ZIP_DEFLATED
    return entry


def _about(export: StudentExport) -> dict[str, str]:
    return {"student_id": export.student_id, "exported_at": utc_text(export.exported_at)}


def _readme(export: StudentExport) -> Iterator[str]:
    yield _INTRODUCTION.format_map(_about(export))
    for name, kind in export.kinds.items():
        yield f"\n{name}.csv: {kind.description}\n"
        yield "".join(f"  {column}: {meaning}\n" for column, meaning in kind.columns.items())


def _csv(kind: Exported) -> Iterator[str]:
    # No field begins with =, + or @. Only an id can begin with -, and has nothing but letters, digits, _ and -: a spreadsheet
    # may take it for a number or the name of a cell, and runs nothing. So values are written as they are.
    yield csv_text([kind.columns])
    for rows in slices(kind.rows(), ROWS_PER_PART):
        yield csv_text([_field(row[column]) for column in kind.columns] for row in rows)


def _field(value: object) -> object:
    return canonical(value) if isinstance(value, bool) else value
