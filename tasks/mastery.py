"""Tasks that compute mastery."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from app.errors import NotFound
from app.mastery.calculate_mastery import calculate_mastery
from app.mastery.derive_scores import refresh_scores
from app.mastery.formula import Weights
from app.security.access import Action
from tasks.audit import audited, note_refresh
from tasks.celery import app, engine, enqueue
from tasks.delivery import TASK_SECONDS

# Students per round of the refresh: a few milliseconds of Redis at a time.
REFRESH_BATCH = 500
# Students per run: about 2 s, well below the time limit; other tasks of the queue run in between.
REFRESH_LIMIT = 20_000


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
    """Update scores to today and remove expired evidence; beat sends this every hour. Queues another run if students remain."""
    handled = refresh_scores(
        stores=engine().mastery, now=engine().clock(), batch=REFRESH_BATCH, limit=REFRESH_LIMIT, refreshed=note_refresh
    )
    if handled == REFRESH_LIMIT:
        enqueue(refresh)
