"""Writes an export as JSON, in parts. Pure.

It is canonical: names are sorted, there are no spaces, text is UTF-8 without escapes but those that JSON requires, and numbers
are as Python writes them. So a reader can write it anew and compare the hash: docs/privacy.md.
"""

import json
from collections.abc import Iterator
from hashlib import sha256

from app.privacy.export_student import StudentExport
from app.storage.exported import Exported, utc_text
from app.storage.scripts import slices

# Rows that are written at once: up to 200 KB.
ROWS_PER_PART = 500


def json_parts(export: StudentExport) -> Iterator[bytes]:
    """The export as an object with the fields exported_at, kinds, student_id and sha256, in this order.

    ``sha256`` is the hash of the object without it, in hex digits.

    Yields:
        Parts of the text, UTF-8.
    """
    digest = sha256()
    for part in _without_hash(export):
        text = part.encode()
        digest.update(text)
        yield text
    digest.update(b"}")
    yield f',"sha256":"{digest.hexdigest()}"}}'.encode()


def _without_hash(export: StudentExport) -> Iterator[str]:
    """The object without the hash and the bracket at its end."""
    yield f'{{"exported_at":{canonical(utc_text(export.exported_at))},"kinds":{{'
    separator = ""
    for name, kind in sorted(export.kinds.items()):
        yield f"{separator}{canonical(name)}:"
        yield from _kind(kind)
        separator = ","
    yield f'}},"student_id":{canonical(export.student_id)}'


def _kind(kind: Exported) -> Iterator[str]:
    yield f'{{"columns":{canonical(kind.columns)},"description":{canonical(kind.description)},"rows":['
    separator = ""
    for rows in slices(kind.rows(), ROWS_PER_PART):
        yield separator + ",".join(map(canonical, rows))
        separator = ","
    yield "]}"


def canonical(value: object) -> str:
    """A value as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
