"""The tasks of a batch, which a test runs in place of a worker, and the results that they store."""

from collections.abc import Callable, Sequence
from datetime import datetime

from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey, BatchOrder
from app.batches.batch_kinds import Row
from app.batches.run_batch import Step, run_batch
from app.bootstrap import Engine

MOST_TASKS = 1000  # of a batch; the largest one of a test has fewer chunks


def run_task(
    engine: Engine,
    key: BatchKey,
    task: str = "task",
    *,
    retries: int = 0,
    audit: Callable[[BatchOrder, Sequence[str]], None] = lambda *_: None,
    now: datetime | None = None,
) -> Step:
    """Run a task of a batch; ``audit`` is called after it has computed and before it stores. ``now``: by the engine's clock."""
    return run_batch(
        key,
        task,
        retries=retries,
        stores=engine.mastery,
        batches=engine.batches,
        consents=engine.consents,
        forecasting=engine.forecasting,
        audit=audit,
        now=now or engine.clock(),
    )


def run_tasks(engine: Engine, key: BatchKey) -> Batch:
    """Run a batch to its end; each step is of another task."""
    for number in range(MOST_TASKS):
        if not run_task(engine, key, f"task-{number}").goes_on:
            return engine.batches.read(key)
    raise AssertionError(f"{key} has not ended after {MOST_TASKS} tasks")


def stored_results(engine: Engine, key: BatchKey) -> list[Row]:
    """The results of a batch, as far as they are stored, in order."""
    total = engine.batches.read(key).total or 0
    return [row for rows in engine.batches.rows(key, range(-(-total // CHUNK_STUDENTS))) for row in rows or ()]
