"""Writes the results of a batch as JSON, NDJSON or CSV. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from app.batches.batch import BatchOrder
from app.batches.batch_kinds import KINDS, Row
from app.csv_text import csv_text


def result_object(order: BatchOrder, row: Row) -> dict[str, Any]:
    """The result of a student; without one, only the id and the error."""
    return {"student_id": row.student_id, "error": row.error} if row.error else KINDS[order.kind].answer(order, row)


def ndjson_lines(order: BatchOrder, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    """One JSON object per line; the lines of a part at a time."""
    for rows in parts:
        yield b"".join(msgspec.json.encode(result_object(order, row)) + b"\n" for row in rows)


def json_array(order: BatchOrder, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    """One JSON array, with an object per line."""
    before = b"[\n"
    for rows in parts:
        for row in rows:
            yield before + msgspec.json.encode(result_object(order, row))
            before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def csv_lines(order: BatchOrder, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    """CSV (RFC 4180) with a header; the lines of a part at a time."""
    kind = KINDS[order.kind]
    yield csv_text([kind.columns]).encode()
    for rows in parts:
        yield csv_text(kind.line(order, row) for row in rows).encode()
