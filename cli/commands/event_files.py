"""Reads event files (NDJSON, gzipped or not) line by line, and shifts old events to now."""

import gzip
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, NamedTuple

import msgspec

from app.errors import InvalidInput
from app.events.event import MAX_EVENT_BYTES, decode_event
from app.events.event_log import record_key

STANDARD_INPUT = Path("-")
GZIP_MAGIC = b"\x1f\x8b"
UTF_8_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
DATE_LENGTH = len("2026-10-28")
MILLISECONDS_A_DAY = 86_400_000
SHOWN_REASONS = 5
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class EventFile(NamedTuple):
    """A file that can be read repeatedly, and its name in messages."""

    path: Path
    name: str


class Survey(NamedTuple):
    """The result of a first pass over a file.

    Attributes:
        events: number of lines that are not blank.
        invalid: number of lines that are not valid events.
        newest: date (UTC) of the newest event that is not in the future, or of the newest of all if all are.
        reasons: why the first invalid lines are invalid.
    """

    events: int
    invalid: int
    newest: date
    reasons: tuple[str, ...]


@contextmanager
def event_file(path: Path) -> Iterator[EventFile]:
    """The file, or a temporary private copy of a pipe or standard input (``-``)."""
    if path.is_file():
        yield EventFile(path, str(path))
        return
    name = "standard input" if path == STANDARD_INPUT else str(path)
    with NamedTemporaryFile(prefix="mastery-events-") as copy:
        try:
            with sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb") as source:
                shutil.copyfileobj(source, copy)
            copy.flush()
        except OSError as error:
            raise InvalidInput(name, f"cannot be read: {error}") from error
        yield EventFile(Path(copy.name), name)


def read_lines(file: EventFile) -> Iterator[tuple[int, bytes]]:
    """Read the lines that are not blank.

    Yields:
        Line number, from 1, and stripped line.

    Raises:
        InvalidInput: the file cannot be read to its end, or has a line that is too long for Kafka.
    """
    try:
        with _opened(file) as lines:
            number = 0
            while line := lines.readline(MAX_EVENT_BYTES + 1):
                number += 1
                if len(line) > MAX_EVENT_BYTES:
                    raise InvalidInput(file.name, f"line {number} is longer than {MAX_EVENT_BYTES:,} bytes")
                if text := (line.removeprefix(UTF_8_MARK) if number == 1 else line).strip():
                    yield number, text
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(file.name, f"cannot be read: {error}") from error


def survey(file: EventFile, now: datetime) -> Survey:
    """Read a file once and validate each line, except its timestamp, which a shift may change.

    Args:
        file: the file.
        now: bounds ``newest``, see Survey.

    Returns:
        What was found.

    Raises:
        InvalidInput: the file cannot be read, has a line that is too long, or has no valid event.
    """
    events = invalid = 0
    reasons: list[str] = []
    newest: datetime | None = None
    latest = datetime.min.replace(tzinfo=UTC)  # of all events, including those in the future
    for number, line in read_lines(file):
        events += 1
        try:
            _, moment = decode_event(line, END_OF_TIME)
        except InvalidInput as error:
            invalid += 1
            if len(reasons) < SHOWN_REASONS:
                reasons.append(f"line {number}: {error}")
            continue
        latest = max(latest, moment)
        if moment <= now:
            newest = max(newest or moment, moment)
    if not events:
        raise InvalidInput(file.name, "has no events")
    if invalid == events:
        hint = "An event file has an event a line, see docs/events.md."
        raise InvalidInput(file.name, "\n  ".join(("has no valid event.", *reasons, hint)))
    return Survey(events, invalid, (newest or latest).date(), tuple(reasons))


def records(file: EventFile, shift: timedelta) -> Iterator[tuple[bytes | None, bytes]]:
    """Each line as a Kafka key and value, with shifted timestamp. Invalid lines stay as they are; the bridge rejects them."""
    for _, line in read_lines(file):
        event = _event(line)
        yield event_key(event), _shifted(event, line, shift) if shift else line


def event_key(event: dict[str, Any]) -> bytes | None:
    """The key of an event's record, ``tenant_id/student_id``, or None if one is missing."""
    tenant, student = event.get("tenant_id"), event.get("student_id")
    return record_key(tenant, student) if isinstance(tenant, str) and isinstance(student, str) else None


@contextmanager
def _opened(file: EventFile) -> Iterator[BinaryIO | gzip.GzipFile]:
    with file.path.open("rb") as plain:
        begin = plain.peek(2)[:2]
        if begin in UTF_16_MARKS:
            raise InvalidInput(file.name, "is UTF-16; convert it to UTF-8 first, as with `iconv -f UTF-16 -t UTF-8`")
        yield gzip.GzipFile(fileobj=plain) if begin == GZIP_MAGIC else plain


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _shifted(event: dict[str, Any], line: bytes, shift: timedelta) -> bytes:
    timestamp = event.get("timestamp")
    try:
        if isinstance(timestamp, str):
            day = date.fromisoformat(timestamp[:DATE_LENGTH])
            event["timestamp"] = (day + shift).isoformat() + timestamp[DATE_LENGTH:]
        elif isinstance(timestamp, int):
            event["timestamp"] = timestamp + shift.days * MILLISECONDS_A_DAY
        return msgspec.json.encode(event)
    except (ValueError, OverflowError):  # not a date, or the shifted date is out of range
        return line
