"""Take events over that a caller sent: the same validation as for those from Kafka, and the same way on.

Their author is there and is told what is wrong, so what is invalid becomes no dead letter. An event that is sent again makes
another record and counts once, like one that Kafka delivers twice.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from app.errors import DependencyUnavailable, EngineError, InvalidInput
from app.events.chunk import HTTP, Chunk, SourceRecord, split
from app.events.dead_letter import MAX_TEXT
from app.events.event import decode_event
from app.events.ledger import ChunkId, Ledger

NO_PARTITION = -1
# An event has two; fields that nobody knows may have more. How many can be read depends on how deep in calls the reader is
# itself (Python allows a thousand in all), and the worker must be able to read what was accepted here.
MAX_LEVELS = 100

_log = logging.getLogger(__name__)


class Busy(EngineError):
    """More is in flight than the workers can record soon; the same call may succeed later."""


class Verdict(NamedTuple):
    """What became of one event: the id that it claims, and what is wrong with it (None: nothing, it was taken over)."""

    event_id: str | None
    error: InvalidInput | None


def ingest_events(
    elements: Sequence[object],
    *,
    tenant: str,
    ledger: Ledger,
    enqueue: Callable[[Iterable[ChunkId]], None],
    now: datetime,
    max_in_flight: int,
    traceparent: str = "",
) -> list[Verdict]:
    """Take over those of a tenant's events, JSON values, that are valid; returns a verdict on each, in their order.

    Raises Busy, and takes nothing, while more than ``max_in_flight`` chunks are in flight; and DependencyUnavailable when Redis
    does not answer: some of the events may be taken over then, and all may be sent again.
    """
    verdicts: list[Verdict] = []
    records: list[SourceRecord] = []
    for index, element in enumerate(elements):
        verdict, value = _judge(element, tenant, now)
        verdicts.append(verdict)
        if value is not None:
            records.append(SourceRecord(NO_PARTITION, index, value, traceparent=traceparent))
    if records:
        if ledger.in_flight() > max_in_flight:
            raise Busy(f"more than {max_in_flight} chunks are in flight")
        chunk_ids = _accept(records, ledger, now)
        try:
            enqueue(chunk_ids)
        except DependencyUnavailable as error:
            _log.warning("%s; a sweep will send the chunks %s", error, chunk_ids, exc_info=error.__cause__)
    return verdicts


def _accept(records: Iterable[SourceRecord], ledger: Ledger, now: datetime) -> list[ChunkId]:
    accepted = [ledger.accept(Chunk(HTTP, now, some)) for some in split(records, lambda record: len(record.value))]
    return [each.chunk_id for each in accepted if each.chunk_id is not None]


def _judge(element: object, tenant: str, now: datetime) -> tuple[Verdict, bytes | None]:
    """The verdict, and the record's value if it is good."""
    event_id = element.get("event_id") if isinstance(element, dict) else None
    claimed = event_id[:MAX_TEXT] if isinstance(event_id, str) else None
    try:
        value = _value(element, tenant)
        decode_event(value, now)
    except InvalidInput as error:
        return Verdict(claimed, InvalidInput(error.field, error.reason[:MAX_TEXT])), None
    return Verdict(claimed, None), value


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
