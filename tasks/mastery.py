"""Tasks that compute mastery."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from app.errors import NotFound
from app.health.removal_counts import Removed
from app.mastery.calculate_mastery import calculate_mastery
from app.mastery.derive_scores import refresh_scores
from app.mastery.formula import Weights
from app.security.access import Action
from tasks.audit import audited, note_refresh
from tasks.celery import app, engine, enqueue
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

# Students per step: a few milliseconds of Redis at a time.
REFRESH_BATCH = 500


@app.task(
    name="mastery.calculate",
    throws=(NotFound,),
    max_retries=3,  # a caller waits, so report the failure after some seconds
    soft_time_limit=TASK_SECONDS,
)
def calculate(tenant: str, student_id: str, weights: list[float], signed_actor: Sequence[str] = ()) -> dict[str, Any]:
    """Recompute and store one student's mastery; the audit trail names the ``signed_actor``."""
    action = Action.CALCULATE_MASTERY
    with audited(
        tenant, action, student_id, engine().audit.actor_signer.verify([tenant, action, student_id, weights], signed_actor)
    ):
        standing = calculate_mastery(
            tenant, student_id, stores=engine().mastery, now=engine().clock(), weights=Weights(*weights)
        )
    return cast("dict[str, Any]", msgspec.to_builtins(standing))


@app.task(name="mastery.refresh", ignore_result=True, soft_time_limit=TASK_SECONDS)
def refresh() -> None:
    """Update scores to today and remove expired evidence, in slices; beat sends this every hour."""
    refreshed: Counter[str] = Counter()

    def work() -> Iterator[None]:
        steps = refresh_scores(stores=engine().mastery, consents=engine().consents, now=engine().clock(), batch=REFRESH_BATCH)
        for tenant, students, removed in steps:
            refreshed[tenant] += len(students) + len(removed)
            engine().removal_counts.add(Removed.STUDENTS, len(removed))
            yield

    try:
        is_finished = finish_in_slice(work())
    finally:
        for tenant, students in refreshed.items():
            note_refresh(tenant, students)
    if not is_finished:
        enqueue(refresh)
