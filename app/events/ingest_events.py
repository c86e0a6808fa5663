"""Take events over that a caller sent: the same validation as for those from Kafka, and the same log.

Their author is there and is told what is wrong, so what is invalid becomes no dead letter. An event that is sent again makes
another record and counts once, like one that a producer sends twice.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from app.errors import InvalidInput
from app.events.dead_letter import MAX_TEXT
from app.events.event import decode_event
from app.events.event_log import EventLog, LogRecord

# An event has two; fields that nobody knows may have more. How many can be read depends on how deep in calls the reader is
# itself (Python allows a thousand in all), and the bridge must be able to read what was accepted here.
MAX_LEVELS = 100
# Kafka takes messages of a megabyte unless told otherwise, with their key and headers.
MAX_EVENT_BYTES = 900_000


class Verdict(NamedTuple):
    """What became of one event: the id that it claims, and what is wrong with it (None: nothing, it was taken over)."""

    event_id: str | None
    error: InvalidInput | None


def ingest_events(
    elements: Sequence[object], *, tenant: str, log: EventLog, now: datetime, traceparent: str = ""
) -> list[Verdict]:
    """Take over those of a tenant's events, JSON values, that are valid; returns a verdict on each, in their order.

    Raises DependencyUnavailable when the log does not confirm all of them: some of the events may be taken over then, and all
    may be sent again.
    """
    verdicts: list[Verdict] = []
    records: list[LogRecord] = []
    for element in elements:
        verdict, record = _judge(element, tenant, now, traceparent)
        verdicts.append(verdict)
        if record is not None:
            records.append(record)
    if records:
        log.append(records)
    return verdicts


def claimed_id(element: object) -> str | None:
    """What an event says that it is, cut if that is long; None if it says nothing."""
    event_id = element.get("event_id") if isinstance(element, dict) else None
    return event_id[:MAX_TEXT] if isinstance(event_id, str) else None


def _judge(element: object, tenant: str, now: datetime, traceparent: str) -> tuple[Verdict, LogRecord | None]:
    """The verdict, and the record of an event that is good."""
    claimed = claimed_id(element)
    try:
        value = _value(element, tenant)
        event, _ = decode_event(value, now)
    except InvalidInput as error:
        return Verdict(claimed, error), None
    if len(value) > MAX_EVENT_BYTES:
        return Verdict(claimed, InvalidInput("", f"is larger than {MAX_EVENT_BYTES:,} bytes")), None
    return Verdict(claimed, None), LogRecord(f"{event.tenant_id}/{event.student_id}".encode(), value, traceparent)


def _value(element: object, tenant: str) -> bytes:
    """The element as JSON that names the tenant: the token's, and no other."""
    if isinstance(element, dict):
        if element.get("tenant_id", tenant) != tenant:
            raise InvalidInput("tenant_id", "must be the token's tenant")
        element = {**element, "tenant_id": tenant}
    if _levels(element) > MAX_LEVELS:
        raise InvalidInput("", f"is nested deeper than {MAX_LEVELS} levels")
    return msgspec.json.encode(element)


def _levels(value: object) -> int:
    """How many objects and arrays are within each other, the outermost included."""
    levels, level = 0, [value]
    while containers := [each for each in level if isinstance(each, dict | list)]:
        levels += 1
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    return levels
