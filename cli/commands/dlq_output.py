"""How dead letters look to an operator: a row each, or everything about one.

In rows there are no ids of students, neither in the key nor in the payload: those are for whoever asks for one letter. Anybody
may write to the topic, so what could steer a terminal is written out.
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
from consumers.dead_letters.record import StoredDeadLetter

MAX_MESSAGE = 200  # characters: the engine's own messages are no longer
UNREADABLE = "unreadable"


class Row(msgspec.Struct, frozen=True):
    """What is listed of a letter. ``failed_at`` is ISO 8601 in UTC."""

    place: str
    failed_at: str | None
    reason: str
    tenant: str | None
    event_type: str | None
    replays: int
    handled: Handled | None
    message: str


class Newest:
    """The newest rows of some letters, so many at most, and the ``count`` of all. What has no time is older than the rest."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._heap: list[tuple[str, Place, Row]] = []

    def add(self, letter: StoredDeadLetter, handled: Handled | None = None) -> None:
        """Take a letter into account."""
        self.count += 1
        made = row(letter, handled)
        heapq.heappush(self._heap, (made.failed_at or "", letter.place, made))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def rows(self) -> list[Row]:
        """The newest first."""
        return [made for *_, made in sorted(self._heap, reverse=True)]


def row(letter: StoredDeadLetter, handled: Handled | None) -> Row:
    """The row of a letter."""
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
    """Rows for a terminal, with or without the column that says what was done with them."""
    made = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.add_column("place", no_wrap=True)
    made.add_column("failed at (UTC)", no_wrap=True)
    for heading in ("reason", "tenant", "event type"):
        made.add_column(heading, overflow="fold")
    made.add_column("replays", justify="right")
    if handled:
        made.add_column("handled", no_wrap=True)
    made.add_column("message", overflow="fold")
    for each in rows:
        failed_at = (each.failed_at or "-").removesuffix("+00:00")
        cells = [each.place, failed_at, each.reason, each.tenant or "-", each.event_type or "-", str(each.replays)]
        cells += [each.handled or "-"] if handled else []
        made.add_row(*(Text(printable(cell)) for cell in (*cells, each.message)))
    return made


def everything(letter: StoredDeadLetter, handled: Handled | None) -> str:
    """One letter as indented JSON: where it is, what Kafka carries beside it, and its value as it is."""
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
    with suppress(
        RecursionError
    ):  # by what is around it, a payload that is nested very deeply may be too deep: it stays as it is
        whole = msgspec.json.format(whole, indent=2)
    return "\n".join(map(printable, whole.decode().split("\n")))


def printable(text: str) -> str:
    """The text, with what has no shape, or steers a terminal, written as JSON writes it: ``\\u001b``."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
