"""Reads from a failed record what its dead letter may show, and whose it is. Such a record may be anything."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Raw

from app.errors import InvalidInput
from app.events.event import EVENT_TYPES
from app.events.event_timestamp import parse_moment
from app.identifiers import Identifier, is_identifier

_fields = msgspec.json.Decoder(dict[str, Raw])


class Subject(NamedTuple):
    """What can be read of a failed record; None for what cannot. Only the id and type of the event are not personal data.

    A tenant without a student is possible, a student without a tenant is not. ``moment`` is the event's, in UTC, if its
    timestamp is valid.
    """

    event_id: str | None
    event_type: str | None
    tenant: str | None
    student_id: str | None
    moment: datetime | None


def subject_of(key: bytes | None, value: bytes | None, now: datetime) -> Subject:
    """Read a failed record. Tenant and student are those of the event, or else of the record's key ``tenant/student``."""
    fields = _object(value)
    event_id, event_type = _read(fields, "event_id", UUID), _read(fields, "event_type", str)
    tenant, student_id = _read(fields, "tenant_id", Identifier), _read(fields, "student_id", Identifier)
    if tenant is None or student_id is None:
        by_key = _whose(key)
        tenant, student_id = by_key or (tenant, None)
    return Subject(
        None if event_id is None else str(event_id),
        event_type if event_type in EVENT_TYPES else None,
        tenant,
        student_id,
        _moment(_read(fields, "timestamp", str | int), now),
    )


def _object(value: bytes | None) -> dict[str, Raw]:
    try:
        return _fields.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _read(fields: dict[str, Raw], name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(fields[name], type=kind) if name in fields else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _whose(key: bytes | None) -> tuple[str, str] | None:
    tenant, slash, student_id = (key or b"").decode(errors="backslashreplace").partition("/")
    return (tenant, student_id) if slash and is_identifier(tenant) and is_identifier(student_id) else None


def _moment(timestamp: str | int | None, now: datetime) -> datetime | None:
    try:
        return None if timestamp is None else parse_moment(timestamp, now)
    except InvalidInput:
        return None
