"""Ends batches that ran for too long, and removes those that ended long ago."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from app.batches.batch import Batch, BatchKey, BatchStatus
from app.batches.batch_fields import OtherVersion
from app.batches.batch_store import BatchStore
from app.errors import NotFound

# Batches per step. Each takes a few round trips; the server frees their memory in the background.
BATCHES_PER_STEP = 20

_log = logging.getLogger(__name__)


def expire_batches(*, batches: BatchStore, retention: timedelta, now: datetime) -> Iterator[int]:
    """Remove each batch that ended a retention ago. One that was created so long ago and still runs ends as expired first.

    It is kept for another retention, unless this is late, as after an outage: no batch is kept for more than two retentions.
    An abandoned iteration is continued by a new one.

    Yields:
        After each step, the number of batches that were removed.
    """
    while found := batches.stored_before(now - retention, BATCHES_PER_STEP):
        removed = 0
        for key, since in found:
            batch = _batch(key, batches)
            if batch is None or (batch.finished is not None and batch.finished <= now - retention):
                batches.delete(key, since)
                removed += 1
            elif batch.finished is not None:
                batches.keep(key, batch.finished)
            else:
                batches.end(key, BatchStatus.EXPIRED, reason="it was not done in time")
                if since > now - 2 * retention:
                    batches.keep(key, now)
                else:
                    batches.delete(key, since)
                    removed += 1
        yield removed


def _batch(key: BatchKey, batches: BatchStore) -> Batch | None:
    """A batch; None if its request failed before it was stored, or this version cannot read it."""
    try:
        return batches.read(key)
    except OtherVersion:
        _log.warning("batch %s is of another version, and is removed", key)
    except NotFound:
        pass
    return None
