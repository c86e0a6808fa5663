"""A crash of the server's machine takes back what it had not synced to disk, while a task computes a chunk."""

from collections.abc import Callable

import pytest

from app.batches.batch import CHUNK_STUDENTS, BatchKey, BatchOrder, BatchStatus, Item
from app.batches.run_batch import Step
from app.bootstrap import Engine
from app.mastery.formula import DEFAULT_WEIGHTS
from tests.batch_tasks import run_task, stored_results
from tests.contracts.conftest import TODAY, merge, observation

KEY = BatchKey("t", "b-1")
STEPS = 5  # find the students, compute two chunks, end, and one more
LISTED = [Item(f"s-{number}") for number in range(2 * CHUNK_STUDENTS)]


def create(engine: Engine, *, everyone: bool) -> None:
    order = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner="admin:tester", all=everyone)
    engine.batches.create(KEY, order, b"request", engine.clock(), items=None if everyone else LISTED)


def step(engine: Engine, meanwhile: Callable[[], None] = lambda: None, task: str = "task-1") -> Step:
    """One task; ``meanwhile`` happens after it has computed, and before it stores."""
    return run_task(engine, KEY, task, audit=lambda *_: meanwhile())


def saved(engine: Engine) -> Callable[[], None]:
    """Remembers what the server has. Returns what brings it back."""
    pattern = f"{engine.settings.key_prefix}:*"
    found = {key: engine.redis.dump(key) or b"" for key in engine.redis.scan_iter(pattern)}

    def roll_back() -> None:
        engine.redis.delete(*engine.redis.scan_iter(pattern))
        for key, content in found.items():
            engine.redis.restore(key, 0, content)

    return roll_back


def students(engine: Engine) -> list[str]:
    """Runs the batch to its end. Returns whom it has results of."""
    for _ in range(STEPS):
        step(engine, task="task-2")
    batch = engine.batches.read(KEY)
    rows = stored_results(engine, KEY)
    assert batch.status.is_final
    assert batch.done == batch.total == len(rows)
    return [row.student_id for row in rows]


@pytest.mark.parametrize("everyone", [False, True])
def test_a_batch_whose_start_was_lost_does_not_end(engine: Engine, *, everyone: bool) -> None:
    """The batch is queued again, or has no students again; it runs to its end, with each student once."""
    merge(engine, observation(1, TODAY, 3))
    create(engine, everyone=everyone)
    roll_back = saved(engine)
    if everyone:
        step(engine)

    told = step(engine, meanwhile=roll_back)

    assert told == Step()
    assert engine.batches.read(KEY).status is BatchStatus.QUEUED
    assert students(engine) == (["s-1"] if everyone else [item.student_id for item in LISTED])


def test_a_chunk_of_a_lost_resolution_is_dropped(engine: Engine) -> None:
    """The students were found again before the task stored its chunk, and another one had come first: each is in it once."""
    merge(engine, observation(1, TODAY, 3), student="s-2")
    create(engine, everyone=True)
    roll_back = saved(engine)
    step(engine)

    def find_again() -> None:
        roll_back()
        for number in range(CHUNK_STUDENTS):
            merge(engine, observation(number + 2, TODAY, 3), student=f"s-1-{number:03}")
        step(engine, task="task-2")
        engine.batches.take(KEY, "task-2")

    step(engine, meanwhile=find_again)

    assert students(engine) == [*(f"s-1-{number:03}" for number in range(CHUNK_STUDENTS)), "s-2"]


def test_a_batch_that_was_lost_stops_its_tasks(engine: Engine) -> None:
    """The task that computed a chunk of it ends without an error."""
    roll_back = saved(engine)
    create(engine, everyone=False)

    told = step(engine, meanwhile=roll_back)

    assert told == Step()
    assert engine.batches.running() == 0
