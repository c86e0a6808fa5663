"""Running a batch on real students: any order, loss and repetition of its tasks gives each student's result once."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from app.batches import batch_store, run_batch
from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey, BatchOrder, BatchStatus, Item
from app.batches.batch_kinds import KINDS, Row
from app.batches.batch_store import Then
from app.batches.run_batch import MAX_ATTEMPTS, Step
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.mastery.evidence import ACTIVITY, QUIZ
from app.mastery.formula import DEFAULT_WEIGHTS, Components, Weights
from app.mastery.query_mastery import query_mastery
from tests.batch_tasks import run_task, run_tasks, stored_results
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, merge, observation

KEY = BatchKey("t", "b-1")
ORDER = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner="admin:a-1")


def run(engine: Engine, task: str = "task", **how: Any) -> Step:
    return run_task(engine, KEY, task, **how)


def finish(engine: Engine) -> Batch:
    return run_tasks(engine, KEY)


def record(engine: Engine, students: int) -> list[Item]:
    """Store evidence of some students, different for each."""
    names = [f"s-{number}" for number in range(students)]
    for number, name in enumerate(names):
        merge(engine, observation(2 * number, TODAY - number % 90, QUIZ, number % 10, 10), student=name)
        merge(engine, observation(2 * number + 1, TODAY - number % 20, ACTIVITY), student=name)
    return [Item(name) for name in names]


def results(engine: Engine) -> list[Row]:
    return stored_results(engine, KEY)


def create(engine: Engine, items: Sequence[Item], order: BatchOrder = ORDER) -> None:
    engine.batches.create(KEY, order, b"print", NOW, items=items)


def test_each_result_is_that_of_a_query(engine: Engine) -> None:
    """For every student, and the summary is that of their scores."""
    items = record(engine, CHUNK_STUDENTS + 10)
    create(engine, items)
    ended = finish(engine)
    assert (ended.status, ended.succeeded, ended.failed) == (BatchStatus.SUCCEEDED, len(items), 0)
    for item, row in zip(items, results(engine), strict=True):
        asked = query_mastery("t", item.student_id, stores=engine.mastery, now=NOW)
        assert KINDS[ORDER.kind].answer(ORDER, row) == msgspec.to_builtins(asked)
    assert ended.summary is not None
    assert sum(ended.summary.levels.values()) == len(items)


def test_an_earlier_day_and_other_weights(engine: Engine) -> None:
    """As the order says; components that were given need no facts."""
    record(engine, 3)
    order = msgspec.structs.replace(ORDER, day=TODAY - 1, weights=Weights(0.0, 1.0, 0.0, 0.0))
    create(engine, [Item("s-2"), Item("s-0"), Item("s-9", Components(quiz=0.25))], order)
    assert finish(engine).status is BatchStatus.PARTLY_FAILED
    assert [(row.score, row.error) for row in results(engine)] == [
        (0.2, ""),  # the activity was two days ago, the quiz too
        (0.0, "no evidence of such a student"),  # all of it is of today
        (0.25, ""),
    ]


def test_a_cohort_and_a_tenant_are_found_by_a_task(engine: Engine) -> None:
    """Those who are in it then."""
    for student, cohort in (("s-1", "c-1"), ("s-2", "c-2"), ("s-3", "c-1"), ("s-4", "")):
        merge(engine, observation(1, TODAY, QUIZ, 8, 10, cohort=cohort), student=student)
    found = []
    for order in (msgspec.structs.replace(ORDER, cohort_id="c-1"), msgspec.structs.replace(ORDER, all=True)):
        engine.batches.create(KEY, order, b"print", NOW)
        assert run(engine).found_students
        finish(engine)
        found.append([row.student_id for row in results(engine)])
        engine.batches.delete(KEY, NOW)
    assert found == [["s-1", "s-3"], ["s-1", "s-2", "s-3", "s-4"]]


def test_a_cohort_without_students_fails(engine: Engine) -> None:
    """And says why."""
    engine.batches.create(KEY, msgspec.structs.replace(ORDER, cohort_id="c-9"), b"print", NOW)
    assert run(engine) == Step()
    assert (finish(engine).status, finish(engine).reason) == (BatchStatus.FAILED, "it has no students")


def test_a_damaged_record_fails_alone(engine: Engine) -> None:
    """The other students of its chunk succeed."""
    items = record(engine, 3)
    engine.redis.hset(engine.mastery.facts.record_key("t", "s-1"), str(TODAY), b"\xc1")
    create(engine, items)
    ended = finish(engine)
    assert (ended.status, ended.succeeded, ended.failed) == (BatchStatus.PARTLY_FAILED, 2, 1)
    assert [row.error for row in results(engine)] == ["", "the student's record cannot be read", ""]


def test_a_chunk_that_ends_its_tasks_is_given_up(engine: Engine) -> None:
    """After ten attempts; its students fail, and the batch ends."""
    create(engine, record(engine, 2))
    for _ in range(MAX_ATTEMPTS):
        engine.batches.take(KEY, "task")
    run(engine)
    ended = engine.batches.read(KEY)
    assert (ended.status, ended.failed, ended.summary) == (BatchStatus.FAILED, 2, None)


def test_whose_data_is_read_is_noted_before_it_can_be_seen(engine: Engine) -> None:
    """Without the entry there are no results; the chunk is computed again."""
    create(engine, [*record(engine, 2), Item("s-9")])

    def refuse(_order: BatchOrder, _students: Sequence[str]) -> None:
        raise DependencyUnavailable("redis")

    with pytest.raises(DependencyUnavailable):
        run(engine, audit=refuse)
    assert results(engine) == []
    noted: list[str] = []
    run(engine, audit=lambda _order, students: noted.extend(students))
    assert noted == ["s-0", "s-1"]
    assert len(results(engine)) == 3


def test_a_task_after_the_end_does_nothing(engine: Engine) -> None:
    """And the sweep no longer finds the batch."""
    create(engine, record(engine, 1))
    finish(engine)
    engine.batches.touch(KEY)
    assert run(engine) == Step()
    assert engine.batches.running() == 0


def test_an_end_that_was_lost_is_made_up_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task died after it had stored the last results; its lease ends."""
    monkeypatch.setattr(batch_store, "LEASE_SECONDS", 0.0)
    items = record(engine, 1)
    create(engine, items)
    taken = engine.batches.take(KEY, "lost")
    rows = run_batch.compute_rows("t", ORDER, taken.items, using=engine.forecasting, now=NOW)
    assert engine.batches.store(KEY, "lost", 0, rows) is Then.END
    assert engine.batches.read(KEY).status is BatchStatus.RUNNING
    assert run(engine) == Step()
    assert engine.batches.read(KEY).status is BatchStatus.SUCCEEDED


@pytest.mark.parametrize("seed", range(5))
def test_any_loss_and_repetition_gives_each_result_once(engine: Engine, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that die after taking a chunk, that compute one twice, that are delivered again, that come late."""
    monkeypatch.setattr(batch_store, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(run_batch, "MAX_ATTEMPTS", 1000)
    chance, items = Random(seed), record(engine, 3)
    items += [Item(f"g-{number}", Components(quiz=number / 2000)) for number in range(4 * CHUNK_STUDENTS)]
    create(engine, items)
    late: list[tuple[str, int, list[Row]]] = []
    while not engine.batches.read(KEY).status.is_final:
        task = f"task-{chance.randrange(5)}"
        match chance.randrange(4):
            case 0:
                engine.batches.take(KEY, task)
            case 1:
                taken = engine.batches.take(KEY, task)
                if taken.items:
                    rows = run_batch.compute_rows("t", ORDER, taken.items, using=engine.forecasting, now=NOW)
                    late.append((task, taken.number, rows))
            case 2 if late:
                engine.batches.store(KEY, *chance.choice(late))
            case _:
                run(engine, task)
    ended = engine.batches.read(KEY)
    assert (ended.status, ended.succeeded, ended.failed) == (BatchStatus.SUCCEEDED, len(items), 0)
    assert [row.student_id for row in results(engine)] == [item.student_id for item in items]


def test_no_batch_is_computed_for_a_moment_that_has_passed(engine: Engine) -> None:
    """A batch that runs over midnight keeps its day."""
    items = record(engine, 1)
    create(engine, items)
    run(engine, now=NOW + timedelta(days=1))
    asked = query_mastery("t", "s-0", stores=engine.mastery, now=NOW)
    assert results(engine)[0].score == asked.score


def test_a_running_batch_is_not_overdue(engine: Engine) -> None:
    """Each task notes that it works on it."""
    create(engine, [*record(engine, 1), *(Item(f"g-{number}", Components()) for number in range(CHUNK_STUDENTS))])
    engine.redis.zadd(f"{engine.settings.key_prefix}:{{.batches}}:running", {str(KEY): 0})
    run(engine)
    assert engine.batches.claim_overdue(60, 1) == []


def test_nothing_is_left_of_a_task_that_stored_its_chunk(engine: Engine) -> None:
    """The hash of the batch does not grow with its tasks."""
    create(engine, record(engine, 1))
    finish(engine)
    fields = engine.redis.hkeys(f"{engine.settings.key_prefix}:{{t}}:batch:b-1")
    assert [name for name in fields if b":" in name] == []


def test_outages_do_not_make_students_fail(engine: Engine) -> None:
    """However often the audit trail does not answer; the task is retried."""

    def refuse(_order: BatchOrder, _students: Sequence[str]) -> None:
        raise DependencyUnavailable("redis")

    create(engine, record(engine, 1))
    for retries in range(3 * MAX_ATTEMPTS):
        with pytest.raises(DependencyUnavailable):
            run(engine, retries=retries, audit=refuse)
    run(engine, retries=3 * MAX_ATTEMPTS + 1)
    assert engine.batches.read(KEY).status is BatchStatus.SUCCEEDED
