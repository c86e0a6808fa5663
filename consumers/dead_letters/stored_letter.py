"""Parses and filters the records of the dead letter topic. No I/O.

Any producer may write to the topic, so a record can be malformed. It is then kept with the reason why it is unreadable.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from app.errors import InvalidInput
from app.events.dead_letter import OFFSET, PARTITION, REPLAYS, TOPIC, TRACE, DeadLetter, ErrorType
from app.events.handled_letters import Place
from app.events.sealed_payload import Lock, Original, SealedPayload
from app.identifiers import Identifier

Headers: TypeAlias = Mapping[str, bytes | None]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOMENT_RULE = "must be ISO 8601, such as 2026-10-28T12:00Z, or a time ago, such as 90m, 2h or 3d"


class DeadLetterBody(DeadLetter, frozen=True):
    """The value of a dead letter. Its payload stays raw JSON, so that a replay sends it unchanged."""

    original_payload: msgspec.Raw  # type: ignore[assignment]  # that of an earlier version is any JSON
    failed_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Source(NamedTuple):
    """The record that failed; formatted as ``mastery.events/3/17``."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class StoredDeadLetter(NamedTuple):
    """A record of the dead letter topic. If it is not a valid dead letter, ``body`` is None and ``unreadable`` the reason.

    ``sealed`` is its encrypted payload; None in a dead letter of an earlier version, whose payload is not encrypted.
    ``opened`` is what ``open_letters`` found in it.
    """

    place: Place
    key: bytes | None
    value: bytes | None
    headers: Headers
    body: DeadLetterBody | None
    unreadable: str
    tenant: str | None
    replays: int
    source: Source | None
    traceparent: bytes | None
    sealed: SealedPayload | None = None
    opened: Original | Lock | None = None


class LetterFilter(NamedTuple):
    """Selects dead letters that match every given criterion. A dead letter without a value for a criterion does not match."""

    reason: ErrorType | None = None
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # exclusive
    places: frozenset[Place] = frozenset()

    def matches(self, letter: StoredDeadLetter) -> bool:
        """Whether the dead letter matches."""
        if self.places and letter.place not in self.places:
            return False
        if self.tenant is not None and letter.tenant != self.tenant:
            return False
        if self.reason is None and self.since is None and self.until is None:
            return True
        return letter.body is not None and self._is_of(letter.body)

    def _is_of(self, body: DeadLetterBody) -> bool:
        return (
            self.reason in {None, body.error_type}
            and (self.since is None or self.since <= body.failed_at)
            and (self.until is None or body.failed_at < self.until)
        )


class _Event(msgspec.Struct):
    tenant_id: Identifier


_body = msgspec.json.Decoder(DeadLetterBody)
_event = msgspec.json.Decoder(_Event)
_sealed = msgspec.json.Decoder(SealedPayload)


def read_letter(place: Place, key: bytes | None, value: bytes | None, headers: Headers) -> StoredDeadLetter:
    """Parse a record, valid or not."""
    body, unreadable = _read_body(value)
    sealed = _read_sealed(body)
    return StoredDeadLetter(
        place=place,
        key=key,
        value=value,
        headers=headers,
        body=body,
        unreadable=unreadable,
        tenant=sealed.tenant if sealed else _tenant_of(body, key),
        replays=_number(headers, REPLAYS) or 0,
        source=_source(headers),
        traceparent=headers.get(TRACE),
        sealed=sealed,
    )


def parse_moment(option: str, text: str, now: datetime) -> datetime:
    """Parse ``2026-10-28``, ``2026-10-28T12:00+02:00`` or ``3d`` (ago).

    Args:
        option: the command's option, for the error.
        text: the moment; in UTC if it has no time zone.
        now: the moment that ``3d`` is relative to.

    Returns:
        The moment, in UTC.

    Raises:
        InvalidInput: the text has another format.
    """
    try:
        if ago := re.fullmatch(r"(\d+)([smhdw])", text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(option, MOMENT_RULE) from error


def parse_place(text: str) -> Place:
    """Parse a place such as ``3:17``. Raises InvalidInput."""
    # As many digits as a 32-bit partition and a 64-bit offset may have.
    if not (found := re.fullmatch(r"(\d{1,10}):(\d{1,19})", text, re.ASCII)):
        raise InvalidInput("PLACE", f"must be partition:offset, such as 3:17, not {text!r}")
    return Place(int(found[1]), int(found[2]))


def _read_body(value: bytes | None) -> tuple[DeadLetterBody | None, str]:
    if value is None:
        return None, "it has no value"
    try:
        value.decode()  # msgspec does not validate the UTF-8 of raw JSON
        return _body.decode(value), ""
    except msgspec.ValidationError as error:
        # Only the field's name: its value may be confidential.
        reason, _, path = str(error).partition(" - at `$.")
        return None, f"its {path.rstrip('`')} does not match the schema" if path else reason
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, "it is not JSON in UTF-8"


def _read_sealed(body: DeadLetterBody | None) -> SealedPayload | None:
    try:
        return None if body is None else _sealed.decode(body.original_payload)
    except (msgspec.DecodeError, RecursionError):
        return None


def _tenant_of(body: DeadLetterBody | None, key: bytes | None) -> str | None:
    if body is not None:
        try:
            return _event.decode(body.original_payload).tenant_id
        except (msgspec.DecodeError, RecursionError):
            pass  # not an event, or without a tenant
    tenant, slash, _student = (key or b"").partition(b"/")
    try:
        return msgspec.convert(tenant.decode(), Identifier) if slash else None
    except (msgspec.ValidationError, UnicodeDecodeError):
        return None


def _source(headers: Headers) -> Source | None:
    topic, partition, offset = headers.get(TOPIC), _number(headers, PARTITION), _number(headers, OFFSET)
    if not topic or partition is None or offset is None:
        return None
    return Source(topic.decode(errors="backslashreplace"), partition, offset)


def _number(headers: Headers, name: str) -> int | None:
    digits = headers.get(name) or b""
    return int(digits) if re.fullmatch(rb"\d{1,19}", digits) else None
