"""Tasks that run batches."""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

from app.audit.entry import WORKER, Channel, Details, SystemAction, entry
from app.batches.batch import CHUNK_STUDENTS, BatchKey, BatchOrder, Priority
from app.batches.batch_fields import OtherVersion
from app.batches.batch_store import LEASE_SECONDS
from app.batches.expire_batches import expire_batches
from app.batches.run_batch import run_batch
from app.errors import DependencyUnavailable, NotFound
from app.health.removal_counts import Removed
from app.security.access import Action
from tasks.celery import EngineTask, app, engine, enqueue
from tasks.lost_tasks import claim_lost, targets
from tasks.queues import BATCH_QUEUES
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

# Tasks of a batch that are queued or run at the same time: enough to keep four processes busy, whatever the batch's size. Each
# computes a chunk and sends itself again, so batches of one priority take turns.
RUNNERS = 4
# As for chunks of events: work resumes quickly after an outage of any length.
RUN_RETRY_SECONDS = 1
# Without activity for this long, all tasks of a batch are lost: its chunks are free again.
OVERDUE_SECONDS = LEASE_SECONDS + 5
# Batches that a sweep sends again. The next sweep follows in seconds.
SWEEP_LIMIT = 20

_log = logging.getLogger(__name__)


@app.task(
    name="batches.run",
    bind=True,
    ignore_result=True,
    max_retries=None,  # an outage may be of any length
    retry_backoff_max=RUN_RETRY_SECONDS,
)
def run(self: EngineTask, batch: str, priority: str) -> None:
    """Do what a batch (``tenant/batch_id``) needs next, and send this task again if it needs more."""
    key = BatchKey.parse(batch)

    step = run_batch(
        key,
        str(self.request.id),
        retries=self.request.retries,
        stores=engine().mastery,
        batches=engine().batches,
        consents=engine().consents,
        forecasting=engine().forecasting,
        audit=partial(note_chunk, key),
        now=engine().clock(),
    )
    if step.goes_on:
        enqueue_runners(key, Priority(priority), RUNNERS if step.found_students else 1)


@app.task(name="batches.sweep", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def sweep() -> None:
    """Send the tasks of batches again that lost them; beat sends this every few seconds. See ``tasks/lost_tasks.py``."""
    batches = engine().batches
    if not batches.running():
        return
    known = targets(run, BATCH_QUEUES.values())
    for name in claim_lost(batches.claim_overdue, known, overdue_seconds=OVERDUE_SECONDS, limit=SWEEP_LIMIT):
        key = BatchKey.parse(name)
        try:
            batch = batches.read(key)
        except OtherVersion:  # a worker of that version runs it
            continue
        except NotFound:  # it was removed, or its request failed
            batches.forget(key)
            continue
        if batch.status.is_final:
            batches.forget(key)
            continue
        enqueue_runners(key, batch.order.priority, RUNNERS)


@app.task(name="batches.expire", ignore_result=True, soft_time_limit=TASK_SECONDS)
def expire() -> None:
    """Remove old batches, in slices; beat sends this every few minutes."""
    retention = timedelta(hours=engine().settings.batch_retention_hours)

    def work() -> Iterator[int]:
        for removed in expire_batches(batches=engine().batches, retention=retention, now=engine().clock()):
            engine().removal_counts.add(Removed.BATCHES, removed)
            yield removed

    if not finish_in_slice(work()):
        enqueue(expire)


def enqueue_runners(key: BatchKey, priority: Priority, runners: int = RUNNERS) -> None:
    """Send tasks that run a batch. Raises DependencyUnavailable; then a sweep sends them."""
    for _ in range(runners):
        enqueue(run, str(key), priority.value, queue=BATCH_QUEUES[priority])


def start(key: BatchKey, priority: Priority, students: int | None) -> None:
    """Send the first tasks of a stored batch; ``students`` is None if a task has to find them.

    Never fails: if the broker does not answer, a sweep sends the tasks later.
    """
    runners = 1 if students is None else min(RUNNERS, -(-students // CHUNK_STUDENTS))
    try:
        enqueue_runners(key, priority, runners)
    except DependencyUnavailable as error:
        _log.warning("the tasks of a batch are sent later: %s", error)


def note_chunk(key: BatchKey, order: BatchOrder, students: Sequence[str]) -> None:
    """Append an entry about the students whose data a batch has read, on behalf of whoever asked for it."""
    trails = engine().audit
    signed = trails.actor_signer.verify([key.tenant, Action.CREATE_BATCH, key.batch_id], order.actor)
    details: Details = {"batch_id": key.batch_id}
    if signed is None:
        details["asked_by"] = "unproven"
    made = entry(
        engine().clock(),
        Channel.TASK,
        signed.actor if signed else WORKER,
        SystemAction.RUN_BATCH,
        whose=[trails.pseudonym(key.tenant, student_id) for student_id in students],
        correlation_id=signed.correlation_id if signed else "",
        details=details,
    )
    trails.append(key.tenant, made)
