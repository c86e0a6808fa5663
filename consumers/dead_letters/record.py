"""A dead letter as it is found on its topic, and which of them an operator means. Computes from values only.

Anybody may write to the topic, so nothing about a record is taken for granted: what is no letter is kept, with the reason.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from app.errors import InvalidInput
from app.events.dead_letter import OFFSET, PARTITION, REPLAYS, TOPIC, TRACE, DeadLetter, ErrorType
from app.events.handled_letters import Place
from app.identifiers import Identifier

Headers: TypeAlias = Mapping[str, bytes | None]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOMENT_RULE = "must be ISO 8601, such as 2026-10-28T12:00Z, or a time ago, such as 90m, 2h or 3d"


class DeadLetterBody(DeadLetter, frozen=True):
    """The value of a letter. Its payload stays the JSON text that it is: nothing is lost between a letter and its replay."""

    original_payload: msgspec.Raw
    failed_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Source(NamedTuple):
    """The record that failed; written ``mastery.events/3/17``."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class StoredDeadLetter(NamedTuple):
    """A record of the dead letter topic. Without ``body`` it is no letter, and ``unreadable`` says why."""

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


class LetterFilter(NamedTuple):
    """Which letters are meant: those to which everything given applies. What a letter does not have does not apply."""

    reason: ErrorType | None = None
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # not included
    places: frozenset[Place] = frozenset()

    def matches(self, letter: StoredDeadLetter) -> bool:
        """Whether this letter is meant."""
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


def read_letter(place: Place, key: bytes | None, value: bytes | None, headers: Headers) -> StoredDeadLetter:
    """The letter in a record, whatever is in it."""
    body, unreadable = _read_body(value)
    return StoredDeadLetter(
        place=place,
        key=key,
        value=value,
        headers=headers,
        body=body,
        unreadable=unreadable,
        tenant=_tenant_of(body, key),
        replays=_number(headers, REPLAYS) or 0,
        source=_source(headers),
        traceparent=headers.get(TRACE),
    )


def parse_moment(option: str, text: str, now: datetime) -> datetime:
    """The moment that ``2026-10-28``, ``2026-10-28T12:00+02:00`` (UTC unless said) or ``3d`` (ago) means.

    Raises InvalidInput, naming the option.
    """
    try:
        if ago := re.fullmatch(r"(\d+)([smhdw])", text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(option, MOMENT_RULE) from error


def parse_place(text: str) -> Place:
    """The place that ``3:17`` means. Raises InvalidInput."""
    # Kafka's partitions are 32-bit and its offsets 64-bit numbers; no more digits, then, than those have.
    if not (found := re.fullmatch(r"(\d{1,10}):(\d{1,19})", text, re.ASCII)):
        raise InvalidInput("PLACE", f"must be partition:offset, such as 3:17, not {text!r}")
    return Place(int(found[1]), int(found[2]))


def _read_body(value: bytes | None) -> tuple[DeadLetterBody | None, str]:
    if value is None:
        return None, "it has no value"
    try:
        value.decode()  # a payload that stays JSON text is otherwise not looked into
        return _body.decode(value), ""
    except msgspec.ValidationError as error:
        # Of what is wrong with a field only its name: its value may be anybody's.
        reason, _, path = str(error).partition(" - at `$.")
        return None, f"its {path.rstrip('`')} is not what the contract says" if path else reason
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, "it is not JSON in UTF-8"


def _tenant_of(body: DeadLetterBody | None, key: bytes | None) -> str | None:
    if body is not None:
        try:
            return _event.decode(body.original_payload).tenant_id
        except (msgspec.DecodeError, RecursionError):
            pass  # no event, or one without a tenant
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
