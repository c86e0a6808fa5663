"""Formats dead letters for operators: one row each, or everything about one.

Rows omit the key and the payload, which contain students' ids; `mastery dlq show` prints them. Any producer may write to the
topic, so terminal control characters are escaped.
"""

import heapq
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from app.events.handled_letters import Handled, Place
from consumers.dead_letters.stored_letter import StoredDeadLetter

MAX_MESSAGE = 200  # characters; the engine's own messages are not longer
UNREADABLE = "unreadable"


class Row(msgspec.Struct, frozen=True):
    """A dead letter in the list. ``failed_at`` is ISO 8601 in UTC."""

    place: str
    failed_at: str | None
    reason: str
    tenant: str | None
    event_type: str | None
    replays: int
    handled: Handled | None
    message: str


class Newest:
    """Collects the newest rows, at most ``limit``, and the ``count`` of all. Rows without a time count as oldest."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._heap: list[tuple[str, Place, Row]] = []

    def add(self, letter: StoredDeadLetter, handled: Handled | None = None) -> None:
        """Add a dead letter."""
        self.count += 1
        new_row = row(letter, handled)
        heapq.heappush(self._heap, (new_row.failed_at or "", letter.place, new_row))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def rows(self) -> list[Row]:
        """The rows, newest first."""
        return [each for *_, each in sorted(self._heap, reverse=True)]


def row(letter: StoredDeadLetter, handled: Handled | None) -> Row:
    """The row of a dead letter."""
    body = letter.body
    return Row(
        place=str(letter.place),
        failed_at=body.failed_at.astimezone(UTC).isoformat(sep=" ", timespec="seconds") if body else None,
        reason=body.error_type.value if body else UNREADABLE,
        tenant=letter.tenant,
        event_type=body.original_event_type if body else None,
        replays=letter.replays,
        handled=handled,
        message=(body.error_message if body else letter.unreadable)[:MAX_MESSAGE],
    )


def table(rows: Iterable[Row], *, handled: bool) -> Table:
    """Rows for a terminal, with or without the column "handled"."""
    view = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    view.add_column("place", no_wrap=True)
    view.add_column("failed at (UTC)", no_wrap=True)
    for heading in ("reason", "tenant", "event type"):
        view.add_column(heading, overflow="fold")
    view.add_column("replays", justify="right")
    if handled:
        view.add_column("handled", no_wrap=True)
    view.add_column("message", overflow="fold")
    for each in rows:
        failed_at = (each.failed_at or "-").removesuffix("+00:00")
        cells = [each.place, failed_at, each.reason, each.tenant or "-", each.event_type or "-", str(each.replays)]
        cells += [each.handled or "-"] if handled else []
        view.add_row(*(Text(printable(cell)) for cell in (*cells, each.message)))
    return view


def everything(letter: StoredDeadLetter, handled: Handled | None) -> str:
    """One dead letter as indented JSON: place, key, headers and value."""
    shown: dict[str, object] = {
        "place": str(letter.place),
        "key": _text(letter.key),
        "tenant": letter.tenant,
        "source": str(letter.source) if letter.source else None,
        "replays": letter.replays,
        "handled": handled,
        "headers": {name: _text(value) for name, value in letter.headers.items()},
    }
    if letter.body is None:
        shown |= {"unreadable": letter.unreadable, "value": _text(letter.value)}
    else:
        shown["letter"] = msgspec.Raw(letter.value or b"")
    whole = msgspec.json.encode(shown)
    with suppress(RecursionError):  # a very deeply nested payload stays unformatted
        whole = msgspec.json.format(whole, indent=2)
    return "\n".join(map(printable, whole.decode().split("\n")))


def printable(text: str) -> str:
    """The text with unprintable and control characters escaped as in JSON, such as ``\\u001b``."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
