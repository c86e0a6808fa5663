"""Take events over that a caller sent: the same validation as for those from Kafka, and the same log.

Their author is there and is told what is wrong, so what is invalid becomes no dead letter. An event that is sent again makes
another record and counts once, like one that a producer sends twice.
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
from app.events.event import decode_event
from app.events.event_log import EventLog, LogRecord

# Kafka takes messages of a megabyte unless told otherwise, with their key and headers.
MAX_EVENT_BYTES = 900_000

NO_ROOM = InvalidInput("student_id", "is new, and the tenant has as many students as its quota allows")


class Claim(Struct, frozen=True):
    """What an event says of itself before it is judged: JSON values, or nothing."""

    event_id: object = None
    student_id: object = None
    tenant_id: object = UNSET


class EventVerdict(NamedTuple):
    """What became of one event: the id that it claims, and what is wrong with it (None: nothing, it was taken over)."""

    event_id: str | None
    error: InvalidInput | None = None


_claim = msgspec.json.Decoder(Claim)


def read_claim(element: bytes) -> Claim:
    """What an event claims, whatever it is."""
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
    """Take over those of a tenant's events, JSON texts, that are valid; returns a verdict on each, in their order.

    ``beyond_quota`` says for which of some students there is no room; events older than the retention ask for none, since they
    make no student. ``admit`` counts events, says whether it does, and raises
    QuotaExceeded where they are too many: then none is taken over.

    Raises DependencyUnavailable when the log does not confirm all of them: some of the events may be taken over then, and all
    may be sent again.
    """
    first_day = day_number(now) - retention_days + 1
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
    """The verdict on an event; of one that is good the record, and the day that it is of."""

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
    """What an event says that it is, cut if that is long; None if it says nothing."""
    return claim.event_id[:MAX_TEXT] if isinstance(claim.event_id, str) else None


def _record(element: bytes, claim: Claim, tenant: str, now: datetime, traceparent: str) -> tuple[LogRecord, Day]:
    """The record of an event that names the tenant: the token's, and no other; and the event's day. Raises InvalidInput."""
    value = _with_tenant(element, tenant) if claim.tenant_id is UNSET else element
    wrong_tenant = InvalidInput("tenant_id", "must be the token's tenant")
    try:
        event, moment = decode_event(value, now)
    except InvalidInput as error:
        if claim.tenant_id in (UNSET, tenant):  # a tuple: what is claimed may be a list, which has no hash
            raise
        raise InvalidFields(wrong_tenant, *(each for each in error.errors if each.field != "tenant_id")) from error
    if event.tenant_id != tenant:
        raise wrong_tenant
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidInput("", f"is larger than {MAX_EVENT_BYTES:,} bytes")
    return LogRecord(tenant, event.student_id, value, traceparent), day_number(moment)


def _with_tenant(element: bytes, tenant: str) -> bytes:
    """The event as it came, but for the tenant that it left out; what is no object stays as it is."""
    if not element.startswith(b"{"):
        return element
    rest = element[1:].lstrip()
    return b'{"tenant_id":' + msgspec.json.encode(tenant) + (b"" if rest.startswith(b"}") else b",") + rest
