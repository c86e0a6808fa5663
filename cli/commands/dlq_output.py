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
from app.events.letter_keys import LetterKeys
from app.events.sealed_payload import KeyReference, Lock, Original
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
    erased: bool = False  # the payload cannot be decrypted any more


class Newest:
    """Collects the newest rows, at most ``limit``, and the ``count`` of all. Rows without a time count as oldest."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._heap: list[tuple[str, Place, Row, KeyReference | None]] = []

    def add(self, letter: StoredDeadLetter, handled: Handled | None = None) -> None:
        """Add a dead letter."""
        self.count += 1
        new_row = row(letter, handled)
        key = letter.sealed.key if letter.sealed else None
        heapq.heappush(self._heap, (new_row.failed_at or "", letter.place, new_row, key))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def rows(self, keys: LetterKeys | None = None) -> list[Row]:
        """The rows, newest first; with the keys of dead letters, those without a key are marked as erased."""
        newest = sorted(self._heap, reverse=True)
        if keys is None:
            return [each for *_, each, _ in newest]
        found = keys.find(key and key.name for *_, key in newest)
        return [
            msgspec.structs.replace(each, erased=key is not None and not key.is_of(stored))
            for (*_, each, key), stored in zip(newest, found, strict=True)
        ]


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
        message = f"[erased] {each.message}" if each.erased else each.message
        view.add_row(*(Text(printable(cell)) for cell in (*cells, message)))
    return view


def everything(letter: StoredDeadLetter, handled: Handled | None) -> str:
    """One dead letter as indented JSON: place, key, headers and value, with its decrypted payload.

    Returns:
        The JSON. Its ``payload`` says whether the payload is decrypted, erased, altered, or was never encrypted (plain).
    """
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
        shown |= {"payload": _state(letter), "letter": _with_payload(letter)}
    whole = msgspec.json.encode(shown)
    with suppress(RecursionError):  # a very deeply nested payload stays unformatted
        whole = msgspec.json.format(whole, indent=2)
    return "\n".join(map(printable, whole.decode().split("\n")))


def _state(letter: StoredDeadLetter) -> str:
    if letter.sealed is None:
        return "plain"
    return letter.opened.value if isinstance(letter.opened, Lock) else "decrypted"


def _with_payload(letter: StoredDeadLetter) -> object:
    """The value of a dead letter, with its decrypted payload, if it was encrypted."""
    if letter.sealed is None:
        return msgspec.Raw(letter.value or b"")
    fields: dict[str, object] = msgspec.json.decode(letter.value or b"", type=dict[str, msgspec.Raw])
    return fields | {"original_payload": letter.opened.payload if isinstance(letter.opened, Original) else None}


def printable(text: str) -> str:
    """The text with unprintable and control characters escaped as in JSON, such as ``\\u001b``."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
