"""Runs a batch: finds its students, computes a chunk at a time, and ends it when all are computed."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from app.batches.batch import BatchKey, BatchOrder, BatchStatus, Item, outcome
from app.batches.batch_errors import ErasedMeanwhile, OverBatchQuota
from app.batches.batch_kinds import ERASED_ROW, GIVEN_UP, KINDS, NO_CONSENT, UNREADABLE, Row
from app.batches.batch_store import BatchStore, Left, Taken, Then
from app.batches.summarize_batch import summarize_batch
from app.clock import day_number
from app.consent.consent_store import ConsentStore
from app.errors import NotFound
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import Unreadable
from app.mastery.stores import MasteryStores
from app.predictions.current_forecast import Forecasting, week_forecaster

# A chunk whose tasks died so often would kill further ones: its students fail.
MAX_ATTEMPTS = 10
# Attempts to end a batch, each of which students who were erased meanwhile made vain. Then a sweep sends the tasks again.
MAX_ENDINGS = 5

_log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What a task did.

    Attributes:
        goes_on: the batch may have a chunk for another task.
        found_students: this task found the students of the batch, which had none before.
    """

    goes_on: bool = False
    found_students: bool = False


def run_batch(
    key: BatchKey,
    task_id: str,
    *,
    retries: int = 0,
    stores: MasteryStores,
    batches: BatchStore,
    consents: ConsentStore,
    forecasting: Forecasting,
    audit: Callable[[BatchOrder, Sequence[str]], None],
    now: datetime,
) -> Step:
    """Do what the batch needs next. ``audit`` notes whose data is read, before the results can be seen.

    Any task may be lost or repeated at any point: each chunk's results count once, and a chunk that was taken and not computed
    is taken again. ``retries`` is how often the task was retried after an outage.

    Returns:
        What was done.
    """
    batches.touch(key)
    taken = batches.take(key, task_id, retries)
    match taken.left:
        case Left.CHUNK:
            return _compute(key, task_id, taken, using=forecasting, batches=batches, audit=audit, now=now)
        case Left.UNRESOLVED:
            return _resolve(key, _ordered(taken), stores=stores, batches=batches)
        case Left.DONE:
            _finish(key, batches=batches, consents=consents)
            return Step()
        case Left.NOTHING:
            return Step()
        case Left.ENDED:
            batches.forget(key)
            return Step()


def _compute(
    key: BatchKey,
    task_id: str,
    taken: Taken,
    *,
    using: Forecasting,
    batches: BatchStore,
    audit: Callable[[BatchOrder, Sequence[str]], None],
    now: datetime,
) -> Step:
    order, items = _ordered(taken), taken.items
    if taken.attempts > MAX_ATTEMPTS:
        _log.error("batch %s: chunk %d was given up after %d attempts", key, taken.number, MAX_ATTEMPTS)
        rows = [ERASED_ROW if item.is_erased else Row(item.student_id, GIVEN_UP) for item in items]
    else:
        rows = compute_rows(key.tenant, order, items, using=using, now=now)
        audit(order, [row.student_id for row in rows if not row.error])
    match batches.store(key, task_id, taken.number, rows, taken.erased):
        case Then.GO_ON:
            return Step(goes_on=True)
        case Then.END:
            _finish(key, batches=batches, consents=using.consents)
            return Step()
        case Then.STOP:
            return Step()


def compute_rows(tenant: str, order: BatchOrder, items: Sequence[Item], *, using: Forecasting, now: datetime) -> list[Row]:
    """The results of some students, in their order; for one who was erased, a row without a student."""
    row = _Rows(tenant, order, items, using).row
    ids = _read(items)
    records = using.stores.facts.read_many(tenant, ids, day_number(now), order.day)
    found = dict(zip(ids, records, strict=True))
    return [row(item, found.get(item.student_id)) for item in items]


class _Rows:
    """Computes the rows of some items, of students who allow it."""

    def __init__(self, tenant: str, order: BatchOrder, items: Sequence[Item], using: Forecasting) -> None:
        self._order = order
        self._kind = KINDS[order.kind]
        self._forecast = week_forecaster(tenant, using)
        purpose = self._kind.purpose
        self._allowed = None if purpose is None else using.consents.allowing(tenant, _read(items), purpose)

    def row(self, item: Item, record: StudentRecord | Unreadable | None) -> Row:
        """The row of an item, from the student's facts."""
        if item.is_erased:
            return ERASED_ROW
        if record is not None and self._allowed is not None and item.student_id not in self._allowed:
            return Row(item.student_id, NO_CONSENT)
        if record is Unreadable.DAMAGED:
            return Row(item.student_id, UNREADABLE)
        return self._kind.compute(self._order, item, record, self._forecast)


def _read(items: Sequence[Item]) -> list[str]:
    """The students whose facts are needed."""
    return [item.student_id for item in items if item.components is None and not item.is_erased]


def _resolve(key: BatchKey, order: BatchOrder, *, stores: MasteryStores, batches: BatchStore) -> Step:
    """Find the students of the cohort or the tenant; again, with another task, if some were erased meanwhile."""
    erasures = batches.erasures(key.tenant)
    students = sorted(stores.scores.members(key.tenant, None if order.all else order.cohort_id))
    if not students:
        batches.end(key, BatchStatus.FAILED, reason="it has no students")
        return Step()
    try:
        goes_on = batches.resolve(key, students, erasures)
    except ErasedMeanwhile:
        return Step(goes_on=True)
    except OverBatchQuota as error:
        batches.end(key, BatchStatus.FAILED, reason=str(error))
        return Step()
    return Step(goes_on=goes_on, found_students=goes_on)


def _finish(key: BatchKey, *, batches: BatchStore, consents: ConsentStore) -> None:
    """End a batch whose chunks are all computed; again if students were erased from it meanwhile."""
    for _ in range(MAX_ENDINGS):
        with suppress(ErasedMeanwhile):  # the summary may have them
            _end(key, batches=batches, consents=consents)
            return


def _end(key: BatchKey, *, batches: BatchStore, consents: ConsentStore) -> None:
    try:
        batch = batches.read(key)
    except NotFound:  # it was removed, or lost with what a crashed server had not synced to disk
        batches.forget(key)
        return
    if batch.status.is_final:
        batches.forget(key)
        return
    if batch.total is None or batch.done < batch.total:  # the server lost the chunk's lease: a sweep sends the tasks again
        return
    summarized = summarize_batch(key, batch.total, batch.erased, batches=batches, consents=consents)
    batches.end(key, outcome(batch.succeeded, batch.failed), summarized=summarized)


def _ordered(taken: Taken) -> BatchOrder:
    if taken.order is None:  # create_batch.lua always writes it
        raise AssertionError("a batch has no order")
    return taken.order
