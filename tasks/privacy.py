"""Tasks that erase students, and what would outlive the retention."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from app.audit.entry import WORKER, Channel, SystemAction, entry
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.privacy.erase_students import Attempt, Stores, run_erasures
from app.privacy.erasure import Erasure, receipt_hash
from app.privacy.remove_leftovers import LeftoverStores, remove_leftovers
from app.security.task_requests import TaskRequests
from app.storage.append_only_file import rewrite_append_only_file
from app.storage.erased import Erased
from app.storage.redis_client import connect
from tasks.broker_errors import translated_broker_errors
from tasks.celery import app, engine, enqueue
from tasks.results import TaskStatus, task_state
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

# An erasure waits for work that still has something of the student: chunks of events and tasks, which take milliseconds.
AGAIN_SECONDS = 1.0
# Without activity for so long, the task that runs a tenant's erasures is lost, or was not sent. A step takes some 100 ms.
OVERDUE_SECONDS = 2.0
# Tenants whose task a sweep sends again. The next sweep follows in seconds.
SWEEP_LIMIT = 20

_log = logging.getLogger(__name__)


class TaskResults:
    """The tasks about students, and their results in Celery's backend."""

    def __init__(self, requests: TaskRequests) -> None:
        self._requests = requests

    def erase(self, tenant: str, students: Sequence[str], /) -> Erased:
        """Delete the results of ended tasks. A task that waits or runs ends first: without facts, it finds nothing.

        One whose message is lost never ends; its request expires.

        Returns:
            The number of deleted results.
        """
        count, is_done = 0, True
        for student_id in students:
            for task_id in self._requests.about(tenant, student_id):
                if task_state(task_id).status is TaskStatus.PENDING:
                    is_done = False
                    continue
                with translated_broker_errors("result backend"):
                    app.backend.forget(task_id)
                self._requests.forget(tenant, student_id, task_id)
                count += 1
        return Erased(count, is_done)


def stores_of_students(served: Engine) -> Stores:
    """Everything that holds something of students."""
    return Stores(
        served.mastery.facts,
        served.ledger,
        {"results of tasks": TaskResults(served.task_requests), **served.student_data},
        served.outbox.announce_erased,
        (served.mastery.scores, served.student_keys),
        {"batches": served.batch_erasure.drop, "dead letters": served.letter_keys.drop},
    )


@app.task(name="privacy.erase", ignore_result=True, max_retries=None, soft_time_limit=TASK_SECONDS)
def erase(tenant: str) -> None:
    """Run the tenant's erasures, in slices; those that have to wait are tried again after a moment."""
    is_all_done = True

    def work() -> Iterator[Attempt]:
        nonlocal is_all_done
        for attempt in run_erasures(tenant, stores=stores_of_students(engine()), erasures=engine().erasures):
            if attempt.receipt is not None:
                note_receipt(tenant, attempt.receipt)
            is_all_done = is_all_done and attempt.is_done
            yield attempt

    if not finish_in_slice(work()):
        enqueue(erase, tenant)
    elif not is_all_done:
        enqueue(erase, tenant, countdown=AGAIN_SECONDS)


@app.task(name="privacy.sweep", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def sweep() -> None:
    """Send the tasks of erasures again that were lost; beat sends this every few seconds. They may run twice at once."""
    for tenant in engine().erasures.claim_overdue(OVERDUE_SECONDS, SWEEP_LIMIT):
        enqueue(erase, tenant)


@app.task(name="privacy.expire", ignore_result=True, soft_time_limit=TASK_SECONDS)
def expire() -> None:
    """Remove what would outlive the retention, in slices; beat sends this every hour."""
    served = engine()
    stores = LeftoverStores(served.mastery, served.outbox, served.ledger, served.malformed_messages)

    def work() -> Iterator[None]:
        found = remove_leftovers(stores, now=served.clock())
        for what, count in found:
            served.removal_counts.add(what, count)
            yield

    if not finish_in_slice(work()):
        enqueue(expire)


@app.task(name="privacy.rewrite_files", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def rewrite_files() -> None:
    """Rewrite the append-only files of state and broker, without deleted data; beat sends this every day, if set."""
    settings = engine().settings
    for url in dict.fromkeys((settings.redis_url, settings.broker)):
        with closing(connect(replace(settings, redis_url=url))) as client:
            rewrite_append_only_file(client)


def start(tenant: str) -> None:
    """Send the task of accepted erasures. Never fails: if the broker does not answer, a sweep sends it later."""
    try:
        enqueue(erase, tenant)
    except DependencyUnavailable as error:
        _log.warning("the task of an erasure is sent later: %s", error)


def note_receipt(tenant: str, receipt: Erasure) -> None:
    """Append an entry about a finished erasure to the tenant's audit trail; it has the receipt's hash."""
    made = entry(
        engine().clock(),
        Channel.TASK,
        WORKER,
        SystemAction.FINISH_ERASURE,
        whose=[receipt.pseudonym],
        details={"erasure_id": receipt.erasure_id, "sha256": receipt_hash(receipt)},
    )
    engine().audit.append(tenant, made)
