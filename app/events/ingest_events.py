"""Ingests events that a caller sent over HTTP: the same validation and the same log as for other producers.

Invalid events are reported to the caller instead of being dead-lettered. A repeated event makes another record but counts once.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Struct

from app.clock import Day, day_number
from app.errors import InvalidFields, InvalidInput
from app.events.dead_letter import MAX_TEXT
from app.events.event import MAX_EVENT_BYTES, decode_event
from app.events.event_log import EventLog, LogRecord
from app.mastery.facts import first_retained_day

NO_ROOM = InvalidInput("student_id", "is new, and the tenant has as many students as its quota allows")


class Claim(Struct, frozen=True):
    """The ids that an event claims, before validation: any JSON values."""

    event_id: object = None
    student_id: object = None
    tenant_id: object = UNSET


class EventVerdict(NamedTuple):
    """The result of one event: its claimed id, and its error (None: it was accepted)."""

    event_id: str | None
    error: InvalidInput | None = None


_claim = msgspec.json.Decoder(Claim)


def read_claim(element: bytes) -> Claim:
    """The ids that an event claims; empty if it is not a JSON object."""
    try:
        return _claim.decode(element)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Claim()


def ingest_events(
    elements: Sequence[bytes],
    *,
    tenant: str,
    log: EventLog,
    now: datetime,
    retention_days: int,
    beyond_quota: Callable[[Sequence[str]], AbstractSet[str]],
    admit: Callable[[int], bool],
    traceparent: str = "",
) -> list[EventVerdict]:
    """Append the valid events of a tenant, each as JSON, to the log.

    ``beyond_quota`` returns the students for which the tenant has no room; it is not asked about expired events, which create
    no student. ``admit`` counts events and returns whether it did; it raises QuotaExceeded, and then none is appended.
    Raises DependencyUnavailable when the log did not confirm all events; it may have some of them, and all may be sent again.

    Returns:
        A verdict per event, in order.
    """
    first_day = first_retained_day(day_number(now), retention_days)
    judged = [_judge(element, tenant, now, traceparent) for element in elements]
    too_many = beyond_quota([each.record.student_id for each in judged if each.record is not None and each.day >= first_day])
    verdicts, records = [], []
    for verdict, record, day in judged:
        if record is None:
            verdicts.append(verdict)
        elif record.student_id in too_many and day >= first_day:
            verdicts.append(verdict._replace(error=NO_ROOM))
        else:
            verdicts.append(verdict)
            records.append(record)
    if records:
        counted_at = now if admit(len(records)) else None
        log.append([record._replace(counted_at=counted_at) for record in records])
    return verdicts


class _Judged(NamedTuple):
    """The verdict on an event and, if it is valid, its record and day."""

    verdict: EventVerdict
    record: LogRecord | None = None
    day: Day = 0


def _judge(element: bytes, tenant: str, now: datetime, traceparent: str) -> _Judged:
    claim = read_claim(element)
    try:
        return _Judged(EventVerdict(claimed_id(claim)), *_record(element, claim, tenant, now, traceparent))
    except InvalidInput as error:
        return _Judged(EventVerdict(claimed_id(claim), error))


def claimed_id(claim: Claim) -> str | None:
    """The truncated id that an event claims; None if it is not a text."""
    return claim.event_id[:MAX_TEXT] if isinstance(claim.event_id, str) else None


def _record(element: bytes, claim: Claim, tenant: str, now: datetime, traceparent: str) -> tuple[LogRecord, Day]:
    """The record and day of an event, whose tenant must be the token's. Raises InvalidInput."""
    value = _with_tenant(element, tenant) if claim.tenant_id is UNSET else element
    wrong_tenant = InvalidInput("tenant_id", "must be the token's tenant")
    try:
        event, moment = decode_event(value, now)
    except InvalidInput as error:
        if claim.tenant_id in (UNSET, tenant):  # a tuple, since a claimed list is not hashable
            raise
        raise InvalidFields(wrong_tenant, *(each for each in error.errors if each.field != "tenant_id")) from error
    if event.tenant_id != tenant:
        raise wrong_tenant
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidInput("", f"is larger than {MAX_EVENT_BYTES:,} bytes")
    return LogRecord(tenant, event.student_id, value, traceparent), day_number(moment)


def _with_tenant(element: bytes, tenant: str) -> bytes:
    """Insert the missing tenant into an event; returns anything but an object unchanged."""
    if not element.startswith(b"{"):
        return element
    rest = element[1:].lstrip()
    return b'{"tenant_id":' + msgspec.json.encode(tenant) + (b"" if rest.startswith(b"}") else b",") + rest
