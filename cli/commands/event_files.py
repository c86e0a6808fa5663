"""Event files: NDJSON, gzipped or not, read line by line; and the shift that brings old events up to now."""

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
from app.events.event import decode_event

STANDARD_INPUT = Path("-")
GZIP_MAGIC = b"\x1f\x8b"
UTF_8_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
MAX_LINE_BYTES = 900_000  # Kafka's own limit for a message is 1 MB, headers and key included
DATE_LENGTH = len("2026-10-28")
MILLISECONDS_A_DAY = 86_400_000
TOLD_REASONS = 5
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class EventFile(NamedTuple):
    """A file that can be read as often as needed, and what it is called in messages."""

    path: Path
    name: str


class Survey(NamedTuple):
    """What a first pass over a file finds.

    ``events`` are its lines that are not blank, ``invalid`` those that are no valid events, with the ``reasons`` of the first
    few; ``newest`` is the date (UTC) of the newest event that does not lie in the future, unless all do.
    """

    events: int
    invalid: int
    newest: date
    reasons: tuple[str, ...]


@contextmanager
def event_file(path: Path) -> Iterator[EventFile]:
    """The file, or a private copy of what comes through a pipe or standard input (``-``), which is removed at the end."""
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
    """The lines that are not blank, as they are, with their numbers from 1.

    Raises InvalidInput for a file that cannot be read to its end, or has a line that Kafka would not take.
    """
    try:
        with _opened(file) as lines:
            number = 0
            while line := lines.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise InvalidInput(file.name, f"line {number} is longer than {MAX_LINE_BYTES:,} bytes")
                if text := (line.removeprefix(UTF_8_MARK) if number == 1 else line).strip():
                    yield number, text
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(file.name, f"cannot be read: {error}") from error


def survey(file: EventFile, now: datetime) -> Survey:
    """Read a file once, and judge each line but for its moment, which a shift may change.

    Raises InvalidInput for a file that cannot be read or sent, has no lines, or not one that is a valid event.
    """
    events = invalid = 0
    reasons: list[str] = []
    newest: datetime | None = None
    latest = datetime.min.replace(tzinfo=UTC)  # of all; the newest does not lie in the future, unless all do
    for number, line in read_lines(file):
        events += 1
        try:
            _, moment = decode_event(line, END_OF_TIME)
        except InvalidInput as error:
            invalid += 1
            if len(reasons) < TOLD_REASONS:
                reasons.append(f"line {number}: {error}")
            continue
        latest = max(latest, moment)
        if moment <= now:
            newest = max(newest or moment, moment)
    if not events:
        raise InvalidInput(file.name, "has no events")
    if invalid == events:
        hint = "An event file has an event a line, as docs/events.md describes them."
        raise InvalidInput(file.name, "\n  ".join(("has no valid event.", *reasons, hint)))
    return Survey(events, invalid, (newest or latest).date(), tuple(reasons))


def records(file: EventFile, shift: timedelta) -> Iterator[tuple[bytes | None, bytes]]:
    """Each line as a Kafka key and value, its timestamp shifted. What is no event goes as it is, for the bridge to judge."""
    for _, line in read_lines(file):
        event = _event(line)
        yield event_key(event), _shifted(event, line, shift) if shift else line


def event_key(event: dict[str, Any]) -> bytes | None:
    """The key of an event's record, ``tenant_id/student_id``, if it names both."""
    tenant, student = event.get("tenant_id"), event.get("student_id")
    return f"{tenant}/{student}".encode() if isinstance(tenant, str) and isinstance(student, str) else None


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
    except (ValueError, OverflowError):  # no date, or one at an end of the calendar
        return line
