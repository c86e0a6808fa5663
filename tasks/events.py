"""Tasks that record learning events."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from celery.utils.time import get_exponential_backoff_interval

from app.errors import DependencyUnavailable, UnexpectedFailure
from app.events.ledger import Attempt, ChunkId
from app.events.record_chunk import record_chunk
from tasks.broker_errors import translated_broker_errors
from tasks.celery import EngineTask, app, engine, enqueue
from tasks.lost_tasks import claim_lost, targets
from tasks.queues import EVENTS, EVENTS_BULK
from tasks.timing import MAX_RETRY_SECONDS

# A single failing event is retried three times, over about ten seconds, to survive temporary errors.
MAX_FAILURES = 3
# Maximum delay between attempts, so that work resumes quickly after an outage of any length. An attempt occupies the worker for
# 0.15 s while Redis refuses connections, and longer during timeouts, so retries of all chunks in flight do not overload Redis.
CHUNK_RETRY_SECONDS = 1
# Chunks per lane that a sweep sends again: a second of work. The next sweep follows in seconds.
SWEEP_LIMIT = 100


@app.task(
    name="events.record",
    bind=True,
    ignore_result=True,
    max_retries=None,  # an outage may be of any length
    retry_backoff_max=CHUNK_RETRY_SECONDS,
)
def record(self: EngineTask, chunk_id: ChunkId, failures: int = 0) -> None:
    """Record the events of a chunk in flight."""
    try:
        successors = record_chunk(
            chunk_id,
            Attempt(str(self.request.id), self.request.retries),
            ledger=engine().ledger,
            letter_keys=engine().letter_keys,
            stores=engine().mastery,
            totals=engine().event_totals,
            now=engine().clock(),
            failures=failures,
            max_failures=MAX_FAILURES,
        )
    except UnexpectedFailure as error:
        pause = get_exponential_backoff_interval(1, failures, MAX_RETRY_SECONDS, full_jitter=True)
        raise self.retry(kwargs={"failures": failures + 1}, countdown=pause, exc=error) from error
    enqueue_chunks(successors)


@app.task(name="events.sweep", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def sweep() -> None:
    """Send chunks again whose task was lost; beat sends this every few seconds. See ``tasks/lost_tasks.py``."""
    ledger, settings = engine().ledger, engine().settings
    if ledger.in_flight() > queued(EVENTS) + queued(EVENTS_BULK):
        known = targets(record, (EVENTS, EVENTS_BULK))
        for in_bulk in (False, True):
            claim = partial(ledger.claim_overdue, in_bulk=in_bulk)
            lost = claim_lost(claim, known, overdue_seconds=settings.chunk_overdue_seconds, limit=SWEEP_LIMIT)
            enqueue_chunks(lost, in_bulk=in_bulk)
    engine().sweeps.note()


def enqueue_chunks(chunk_ids: Iterable[ChunkId], *, in_bulk: bool = False) -> None:
    """Send tasks that record chunks. Raises DependencyUnavailable; a sweep sends the remaining ones."""
    for chunk_id in chunk_ids:
        enqueue(record, chunk_id, queue=EVENTS_BULK if in_bulk else EVENTS)


def queued(queue: str) -> int:
    """The number of tasks in a queue. Raises DependencyUnavailable when the broker does not answer."""
    with translated_broker_errors(), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1)  # the next sweep follows in seconds
        channel: Any = connection.default_channel
        declared = channel.queue_declare(queue)  # not passive: that fails for an empty queue, which has no key in Redis
    return int(declared.message_count)
