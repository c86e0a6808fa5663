"""Records a chunk in flight and isolates failing events.

- An event with an *unexpected* error moves to a chunk of its own; the other events are recorded.
- If attempts at a chunk *died* with their process too often, each event that none of them recorded gets a chunk of its own.
- An event that still fails alone becomes a dead letter.
- An event of a new student beyond the tenant's quota becomes a dead letter at once, since retries do not help.
- If a dependency is unavailable, the attempt ends with DependencyUnavailable and is retried.
"""

import logging
from collections.abc import Mapping
from datetime import datetime

from app.clock import day_number
from app.errors import UnexpectedFailure
from app.events.chunk import Chunk
from app.events.dead_letter import ErrorType, FailedRecord, OutgoingDeadLetter
from app.events.event import decode_event
from app.events.event_totals import EventTotals
from app.events.ledger import Attempt, Begun, ChunkId, Ledger
from app.events.letter_keys import LetterKeys
from app.events.record_events import Evidence, RecordedEvents, evidence, record_evidence
from app.events.seal_letters import seal_letters
from app.logs import frames
from app.mastery.facts import first_retained_day
from app.mastery.merged import OVER_EVENTS, OVER_QUOTA
from app.mastery.stores import MasteryStores

# A process may die for other reasons, such as a deployment, but hardly three times with the same chunk.
MAX_DEATHS = 3
NO_ROOM = {
    OVER_QUOTA: "the student is new, and the tenant has as many as its quota allows; replay this when there is room",
    OVER_EVENTS: "the student has as many events as can be kept; replay this when earlier ones have expired",
}

_log = logging.getLogger(__name__)


def record_chunk(
    chunk_id: ChunkId,
    attempt: Attempt,
    *,
    ledger: Ledger,
    letter_keys: LetterKeys,
    stores: MasteryStores,
    totals: EventTotals,
    now: datetime,
    failures: int,
    max_failures: int,
) -> list[ChunkId]:
    """Record the events of a chunk and finish it. ``failures`` counts the earlier failures of a single event.

    Raises UnexpectedFailure when a single event failed and may be retried, and DependencyUnavailable when Redis does not
    answer. In both cases the chunk stays in flight.

    Returns:
        The ids of successor chunks; none if all events were recorded or dead-lettered.
    """
    begun = ledger.begin(chunk_id, attempt)
    if begun is None:
        return []
    chunk, deaths = begun
    found, failed = _evidence(begun, stores.facts.retention_days)
    tenants = {each.tenant_id for each in found.values()}
    totals.begin_chunk(tenants, chunk_id)
    # Checked after begin_chunk: a later crash of Redis that loses the chunk also loses its bitmap, so the merge fails (GONE).
    if not ledger.is_in_flight(chunk_id):
        return []
    outcome = record_evidence(found.values(), stores=stores, now=now, chunk_id=chunk_id, repeat_only=deaths >= MAX_DEATHS)
    failed |= _not_recorded(found, outcome)
    lost = _without_room(chunk, found, failed, now, failures + deaths)
    again = sorted(index for index, reason in failed.items() if reason not in NO_ROOM)
    if again and len(chunk.records) == 1:
        _give_up(chunk_id, failed[0], may_retry=failures < max_failures and deaths < MAX_DEATHS)
        again, lost = [], [_failed(chunk, 0, failed[0], now, failures + deaths)]
    successors = _finish(chunk_id, chunk, again, seal_letters(lost, letter_keys), ledger)
    totals.end_chunk(tenants, chunk_id)
    return successors


def _finish(
    chunk_id: ChunkId, chunk: Chunk, again: list[int], letters: list[OutgoingDeadLetter], ledger: Ledger
) -> list[ChunkId]:
    """Finish a chunk; each record in ``again`` gets a chunk of its own. Returns the ids of these."""
    apart = [chunk._replace(records=[chunk.records[index]]) for index in again]
    successors = ledger.finish(chunk_id, chunks=apart, letters=letters)
    if successors:
        _log.warning("chunk %s: %d of %d events continue in chunks of their own", chunk_id, len(successors), len(chunk.records))
    return successors


def _not_recorded(found: Mapping[int, Evidence], outcome: RecordedEvents) -> dict[int, str]:
    """The reasons why events were not recorded, by index."""
    whose = {index: (tenant, student) for index, (tenant, student, observation) in found.items() if observation is not None}
    return {index: outcome.errors[student] for index, student in whose.items() if student in outcome.errors}


def _give_up(chunk_id: ChunkId, reason: str, *, may_retry: bool) -> None:
    """Log that a single event becomes a dead letter. Raises UnexpectedFailure instead if it may be retried."""
    if may_retry:
        raise UnexpectedFailure(f"chunk {chunk_id}, a single event, cannot be recorded: {reason}")
    _log.error("chunk %s, a single event, becomes a dead letter: %s", chunk_id, reason)


def _without_room(
    chunk: Chunk, found: Mapping[int, Evidence], failed: Mapping[int, str], now: datetime, retries: int
) -> list[FailedRecord]:
    """The failed events that exceed the quota of students or the limit of events per student."""
    reasons = {index: NO_ROOM[reason] for index, reason in failed.items() if reason in NO_ROOM}
    if reasons:
        tenants = sorted({found[index].tenant_id for index in reasons})
        _log.warning(
            "%d events of %s become dead letters: no room for new students or events", len(reasons), ", ".join(tenants)
        )
    return [_failed(chunk, index, reason, now, retries) for index, reason in sorted(reasons.items())]


def _evidence(begun: Begun, retention_days: int) -> tuple[dict[int, Evidence], dict[int, str]]:
    """Evidence by record index, and the reasons of failures. Independent of the attempt and of the current day."""
    chunk, deaths = begun
    if deaths >= 2 * MAX_DEATHS:  # decoding may be what kills the process
        return {}, dict.fromkeys(range(len(chunk.records)), f"the process that recorded it died {deaths} times")
    first_day = first_retained_day(day_number(chunk.accepted_at), retention_days)
    found: dict[int, Evidence] = {}
    failed: dict[int, str] = {}
    for index, record in enumerate(chunk.records):
        try:
            found[index] = evidence(*decode_event(record.value, chunk.accepted_at), first_day)
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            _log.warning("an event of partition %d, offset %d fails: %s", record.partition, record.offset, frames(error))
            failed[index] = f"{type(error).__name__}; the worker's log has the cause"
    return found, failed


def _failed(chunk: Chunk, index: int, reason: str, now: datetime, retries: int) -> FailedRecord:
    """One of the chunk's records that becomes a dead letter. Its key is that of its student, who is in its value."""
    record = chunk.records[index]
    return FailedRecord(chunk.source, record, None, record.value, ErrorType.PROCESSING, reason, now, retries)
