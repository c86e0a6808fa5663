"""Event files: NDJSON, gzipped or not, read line by line; and the shift that brings old events up to now."""

import gzip
import zlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from app.errors import InvalidInput

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE_BYTES = 900_000  # Kafka's own limit for a message is 1 MB, headers and key included
DATE_LENGTH = len("2026-10-28")
MILLISECONDS_A_DAY = 86_400_000


class Survey(NamedTuple):
    """What a first pass over a file finds: how many events it has, and the newest one's date if any has one."""

    events: int
    newest: date | None


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that are not blank, as they are. Raises InvalidInput when it cannot be read to its end."""
    try:
        with path.open("rb") as file:
            lines: Any = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == GZIP_MAGIC else file
            for line in lines:
                if text := line.strip():
                    yield text
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(path), f"cannot be read: {error}") from error


def survey(path: Path) -> Survey:
    """Read a file once. Raises InvalidInput for one that cannot be read or sent, or has no events."""
    count, newest = 0, None
    for count, line in enumerate(read_lines(path), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise InvalidInput(str(path), f"event {count} has {len(line):,} bytes; Kafka takes at most {MAX_LINE_BYTES:,}")
        day = _date(_event(line))
        if day is not None and (newest is None or day > newest):
            newest = day
    if not count:
        raise InvalidInput(str(path), "has no events")
    return Survey(count, newest)


def records(path: Path, shift: timedelta) -> Iterator[tuple[bytes | None, bytes]]:
    """Each line as a Kafka key and value, its timestamp shifted. What is no event goes as it is, for the bridge to judge."""
    for line in read_lines(path):
        event = _event(line)
        yield event_key(event), _shifted(event, line, shift) if shift else line


def event_key(event: dict[str, Any]) -> bytes | None:
    """The key of an event's record, ``tenant_id/student_id``, if it names both."""
    tenant, student = event.get("tenant_id"), event.get("student_id")
    return f"{tenant}/{student}".encode() if isinstance(tenant, str) and isinstance(student, str) else None


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _date(event: dict[str, Any]) -> date | None:
    timestamp = event.get("timestamp")
    try:
        if isinstance(timestamp, str):
            return date.fromisoformat(timestamp[:DATE_LENGTH])
        if isinstance(timestamp, int):
            return date(1970, 1, 1) + timedelta(milliseconds=timestamp)
    except (ValueError, OverflowError):
        return None
    return None


def _shifted(event: dict[str, Any], line: bytes, shift: timedelta) -> bytes:
    day = _date(event)
    if day is None:
        return line
    timestamp = event["timestamp"]
    if isinstance(timestamp, str):
        event["timestamp"] = (day + shift).isoformat() + timestamp[DATE_LENGTH:]
    else:
        event["timestamp"] = timestamp + shift.days * MILLISECONDS_A_DAY
    return msgspec.json.encode(event)
