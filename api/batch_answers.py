"""The state of a batch in answers."""

from typing import Any

from msgspec import to_builtins

from api.authentication import engine
from app.batches.batch import Batch, progress
from app.clock import day_date


def shown_batch(batch: Batch) -> dict[str, Any]:
    """The state of a batch as the caller may see it: what ``BatchState`` describes."""
    order, done = batch.order, progress(batch, engine().clock())
    return {
        "batch_id": batch.batch_id,
        "status": batch.status,
        "priority": order.priority,
        "compute": order.kind,
        "as_of": day_date(order.day),
        "cohort_id": order.cohort_id,
        "all": order.all,
        "weights": order.weights._asdict(),
        "total": batch.total,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "erased": batch.erased,
        "progress": done.share,
        "created_at": batch.created,
        "started_at": batch.started,
        "finished_at": batch.finished,
        "students_per_second": None if done.rate is None else round(done.rate, 1),
        "seconds_left": None if done.seconds_left is None else round(done.seconds_left, 1),
        "reason": batch.reason,
        "summary": None if batch.summary is None else to_builtins(batch.summary),
        "callback": batch.callback,
    }
