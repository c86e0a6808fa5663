"""Ends batches that ran for too long, and removes those that ended long ago."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from app.batches.batch import BatchStatus
from app.batches.batch_store import BatchStore
from app.errors import NotFound

# Batches per step. Each takes a few round trips; the server frees their memory in the background.
BATCHES_PER_STEP = 20


def expire_batches(*, batches: BatchStore, retention: timedelta, now: datetime) -> Iterator[int]:
    """Remove each batch that ended a retention ago. One that was created so long ago and still runs ends as expired first.

    An abandoned iteration is continued by a new one.

    Yields:
        After each step, the number of batches that were removed or ended.
    """
    while found := batches.stored_before(now - retention, BATCHES_PER_STEP):
        for key in found:
            try:
                batch = batches.read(key)
            except NotFound:  # its request failed before it was stored
                batches.drop(key)
                continue
            if not batch.status.is_final:
                batches.end(key, BatchStatus.EXPIRED, reason="it was not done in time")
                batches.keep(key, now)
            elif batch.finished is not None and batch.finished > now - retention:
                batches.keep(key, batch.finished)
            else:
                batches.delete(key, batch.order.owner)
        yield len(found)
