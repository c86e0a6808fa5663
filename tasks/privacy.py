"""Tasks that erase students, and what would outlive the retention."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from app.audit.entry import WORKER, Channel, Details, SystemAction, entry
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.privacy.erase_students import Step, Stores, run_erasures
from app.privacy.erasure import receipt_hash, receipt_text
from app.privacy.remove_leftovers import LeftoverStores, remove_leftovers
from app.pseudonyms import WHOLE_TENANT
from app.security.task_requests import TaskRequests
from app.storage.append_only_file import rewrite_append_only_file
from app.storage.erased import Erased
from app.storage.redis_client import connect
from tasks.broker_errors import translated_broker_errors
from tasks.celery import app, engine, enqueue
from tasks.results import TaskStatus, task_state
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

# Without activity for so long, the task that runs a tenant's erasures is lost or was not sent, or one of them waits for work in
# progress. A step takes some 100 ms.
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

        One whose message is lost never ends, and one whose result has expired seems not to: their requests expire.

        Returns:
            The number of deleted results.
        """
        count, is_done = 0, True
        for student_id in students:
            for task_id in self._requests.about(tenant, student_id):
                is_pending = task_state(task_id).status is TaskStatus.PENDING
                if is_pending and self._requests.is_known(tenant, task_id):
                    is_done = False
                    continue
                with translated_broker_errors("result backend"):
                    app.backend.forget(task_id)
                self._requests.forget(tenant, student_id, task_id)
                count += not is_pending
        return Erased(count, is_done)


def stores_of_students(served: Engine) -> Stores:
    """Everything that holds something of students."""

    def drop_learned(tenant: str) -> int:
        cohorts = served.mastery.scores.cohorts(tenant)
        served.learning.peers.drop(tenant, cohorts)
        served.published.drop(tenant)
        return served.learning.models.drop(tenant)

    return Stores(
        served.mastery.facts,
        served.ledger,
        {"results of tasks": TaskResults(served.task_requests), **served.student_data},
        served.outbox.announce_erased,
        (served.mastery.scores, served.student_keys),
        {"batches": served.batch_erasure.drop, "dead letters": served.letter_keys.drop, "models": drop_learned},
        {"models": drop_learned},
    )


@app.task(name="privacy.erase", ignore_result=True, max_retries=None, soft_time_limit=TASK_SECONDS)
def erase(tenant: str) -> None:
    """Run the tenant's erasures, in slices. The sweep sends this again for those that have to wait."""
    steps = run_erasures(
        tenant, stores=stores_of_students(engine()), erasures=engine().erasures, audit=partial(note_step, tenant)
    )
    if not finish_in_slice(steps):
        enqueue(erase, tenant)


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


def note_step(tenant: str, step: Step) -> None:
    """Append an entry about erased students of a whole tenant, or about a finished erasure, with its receipt."""
    trails, receipt = engine().audit, step.receipt
    details: Details = {"erasure_id": step.erasure.erasure_id}
    whose = [trails.pseudonym(tenant, student) for student in step.students]
    if receipt is not None:
        details |= {"receipt": receipt_text(receipt).decode(), "sha256": receipt_hash(receipt)}
        whose = [] if receipt.pseudonym == WHOLE_TENANT else [receipt.pseudonym]
    action = SystemAction.FINISH_ERASURE
    trails.append(tenant, entry(engine().clock(), Channel.TASK, WORKER, action, whose=whose, details=details))
