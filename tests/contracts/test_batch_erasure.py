"""Erasing students from batches: nothing of them is left, and the others stay as they are, in their places."""

from functools import partial

import msgspec
import pytest

from app.batches import batch_erasure
from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey, BatchStatus, Item
from app.batches.batch_erasure import FEW_STUDENTS
from app.batches.batch_errors import ErasedMeanwhile
from app.batches.batch_kinds import ERASED_ROW, Row
from app.batches.batch_store import Then
from app.batches.run_batch import MAX_ATTEMPTS
from app.batches.summarize_batch import with_current_summary
from app.batches.summary import summarize
from app.bootstrap import Engine
from app.mastery.formula import Components
from app.storage.erased import Erased
from app.storage.scripts import run_script
from tests.conftest import NOW
from tests.contracts.batch_erasures import (
    KEY,
    ORDER,
    create,
    erase,
    everything,
    finish,
    forget_facts,
    record,
    results,
    run,
)
from tests.contracts.conftest import keys


def given(count: int) -> list[Item]:
    """Students that need no facts."""
    return [Item(f"g-{number:04}", Components(quiz=number / 5000)) for number in range(count)]


def shown(engine: Engine) -> Batch:
    """The batch as callers see it."""
    return with_current_summary(KEY, engine.batches.read(KEY), batches=engine.batches, consents=engine.consents)


def erase_once(engine: Engine, student: str) -> None:
    """Nothing comes between, and the student has one place."""
    forget_facts(engine, student)
    assert engine.batch_erasure.erase("t", [student]) == Erased(1)


def test_a_waiting_student_becomes_an_empty_place(engine: Engine) -> None:
    """The batch ends without the student; the others are where they were."""
    create(engine, [*record(engine, "s-1", "s-2", "s-3"), *given(1)])
    assert erase(engine, "s-2", "g-0000") == 2
    waiting = engine.batches.read(KEY)
    assert (waiting.total, waiting.erased, waiting.done) == (4, 2, 2)
    ended = finish(engine)
    assert (ended.status, ended.succeeded, ended.failed, ended.erased) == (BatchStatus.SUCCEEDED, 2, 0, 2)
    assert [row.student_id for row in results(engine)] == ["s-1", "", "s-3", ""]
    assert b"s-2" not in everything(engine)
    assert b"g-0000" not in everything(engine)


def test_a_result_becomes_an_empty_place(engine: Engine) -> None:
    """Of a student who succeeded, and of one who failed; the summary is that of the others."""
    create(engine, [*record(engine, *(f"s-{number}" for number in range(1, 7))), Item("absent")])
    finish(engine)
    before = results(engine)
    assert erase(engine, "s-2", "absent") == 2
    ended = engine.batches.read(KEY)
    assert (ended.total, ended.succeeded, ended.failed, ended.erased) == (7, 5, 0, 2)
    assert ended.status is BatchStatus.PARTLY_FAILED  # how it ended
    assert results(engine) == [before[0], ERASED_ROW, *before[2:6], ERASED_ROW]
    assert ended.summary is None
    assert shown(engine).summary == summarize([row.score for row in (before[0], *before[2:6])])
    assert shown(engine).summary is not None
    assert b"s-2" not in everything(engine)
    assert b"absent" not in everything(engine)


def test_nobody_is_left(engine: Engine) -> None:
    """Then there is no summary."""
    create(engine, record(engine, "s-1"))
    finish(engine)
    erase(engine, "s-1")
    ended = shown(engine)
    assert (ended.succeeded, ended.erased, ended.summary, ended.status) == (0, 1, None, BatchStatus.SUCCEEDED)


def test_a_batch_that_was_cancelled_gets_no_summary(engine: Engine) -> None:
    """It had none; its results are erased like others."""
    create(engine, given(CHUNK_STUDENTS + 1))
    run(engine)
    engine.batches.end(KEY, BatchStatus.CANCELLED)
    assert erase(engine, "g-0000", f"g-{CHUNK_STUDENTS:04}") == 1
    assert shown(engine).summary is None
    assert b"g-0000" not in everything(engine)


def test_erasing_again_changes_nothing(engine: Engine) -> None:
    """The call may be repeated at any time."""
    create(engine, [*record(engine, "s-1", "s-2"), *given(CHUNK_STUDENTS)])
    run(engine)
    erase(engine, "s-1", "g-0249")
    before = engine.batches.read(KEY), results(engine)
    assert erase(engine, "s-1", "g-0249") == 0
    assert (engine.batches.read(KEY), results(engine)) == before


def test_others_are_not_touched(engine: Engine) -> None:
    """Neither students whose id contains the erased one, nor the batches of other tenants."""
    create(engine, [Item(student, Components(quiz=0.5)) for student in ("s-1", "s-10", "xs-1", "c-1")])
    create(engine, [Item("s-1", Components(quiz=0.5))], BatchKey("t-2", "b-1"))
    for key in (KEY, BatchKey("t-2", "b-1")):
        finish(engine, key)
    erase(engine, "s-1")
    assert [row.student_id for row in results(engine)] == ["", "s-10", "xs-1", "c-1"]
    assert [row.student_id for row in results(engine, BatchKey("t-2", "b-1"))] == ["s-1"]


@pytest.mark.parametrize("count", [1, FEW_STUDENTS + 5])
def test_all_batches_of_the_tenant_are_searched(engine: Engine, count: int) -> None:
    """Those that wait, run, ended, and have no students yet; however many students are erased at a time."""
    erased = [f"g-{number:04}" for number in range(count)]
    for number in range(5):
        create(engine, given(2 * CHUNK_STUDENTS), BatchKey("t", f"b-{number}"))
    create(engine, None, BatchKey("t", "unresolved"), msgspec.structs.replace(ORDER, all=True))
    run(engine, key=BatchKey("t", "b-1"))
    finish(engine, BatchKey("t", "b-2"))
    engine.batches.end(BatchKey("t", "b-3"), BatchStatus.CANCELLED)
    engine.batches.delete(BatchKey("t", "b-4"), NOW)
    assert erase(engine, *erased) == 3 * count
    left = everything(engine)
    assert not [student for student in erased if student.encode() in left]
    assert f"g-{count:04}".encode() in left


def test_what_a_task_computes_meanwhile_is_dropped(engine: Engine) -> None:
    """It has read the student's facts before the erasure. The chunk is free at once, and computed again."""
    create(engine, [*record(engine, "s-1", "s-2"), *given(CHUNK_STUDENTS)])
    assert run(engine, meanwhile=lambda: erase_once(engine, "s-1")).goes_on
    assert results(engine) == []
    assert engine.batches.read(KEY).done == 1
    ended = finish(engine)
    assert (ended.succeeded, ended.failed, ended.erased) == (CHUNK_STUDENTS + 1, 0, 1)
    assert [row.student_id for row in results(engine)[:2]] == ["", "s-2"]
    assert b"s-1" not in everything(engine)


def test_a_late_task_of_the_chunk_stores_nothing(engine: Engine) -> None:
    """A second task has taken the chunk, and the first one comes back after the erasure."""
    create(engine, record(engine, "s-1", "s-2"))
    taken = engine.batches.take(KEY, "late")
    erase(engine, "s-1")
    assert [item.student_id for item in engine.batches.take(KEY, "another").items] == ["", "s-2"]
    engine.batches.store(KEY, "late", taken.number, [Row(item.student_id) for item in taken.items])
    assert results(engine) == []
    assert b"s-1" not in everything(engine)


def test_a_task_that_runs_twice_stores_nothing_of_its_first_run(engine: Engine) -> None:
    """It was delivered again after the erasure, has the chunk again, and then comes back from its first run."""
    create(engine, record(engine, "s-1", "s-2"))
    first = engine.batches.take(KEY, "task")
    erase(engine, "s-1")
    second = engine.batches.take(KEY, "task")
    late = [Row(item.student_id) for item in first.items]
    assert engine.batches.store(KEY, "task", 0, late, first.erased) is Then.STOP
    assert results(engine) == []
    engine.batches.store(KEY, "task", 0, [ERASED_ROW, Row("s-2")], second.erased)
    assert [row.student_id for row in results(engine)] == ["", "s-2"]


def test_erasures_are_no_attempts_at_a_chunk(engine: Engine) -> None:
    """However often a chunk is taken away from its task, its students do not fail."""
    create(engine, given(2 * MAX_ATTEMPTS + 1))
    for item in given(2 * MAX_ATTEMPTS):
        run(engine, meanwhile=partial(erase_once, engine, item.student_id))
    ended = finish(engine)
    assert (ended.succeeded, ended.failed, ended.erased) == (1, 0, 2 * MAX_ATTEMPTS)


def test_a_chunk_that_is_given_up_keeps_empty_places(engine: Engine) -> None:
    """The erased student does not count as failed."""
    create(engine, record(engine, "s-1", "s-2"))
    erase(engine, "s-1")
    for _ in range(MAX_ATTEMPTS):
        engine.batches.take(KEY, "task")
    run(engine)
    ended = engine.batches.read(KEY)
    assert (ended.status, ended.failed, ended.erased) == (BatchStatus.FAILED, 1, 1)


def test_a_damaged_record_leaves_empty_places(engine: Engine) -> None:
    """When the students of a chunk are computed alone."""
    create(engine, record(engine, "s-1", "s-2", "s-3"))
    erase(engine, "s-1")
    engine.redis.hset(engine.mastery.facts.record_key("t", "s-2"), str(ORDER.day), b"\xc1")
    ended = finish(engine)
    assert (ended.succeeded, ended.failed, ended.erased) == (1, 1, 1)
    assert results(engine)[0] == ERASED_ROW


def test_two_erasures_at_a_time_lose_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that change the same chunk, the later one is not done, and is repeated."""
    create(engine, record(engine, "s-1", "s-2", "s-3"))
    finish(engine)

    def after_another(*arguments: object) -> object:
        monkeypatch.undo()
        assert engine.batch_erasure.erase("t", ["s-2"]) == Erased(1)
        return run_script(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_erasure, "run_script", after_another)
    assert engine.batch_erasure.erase("t", ["s-1"]) == Erased(0, is_done=False)
    assert engine.batch_erasure.erase("t", ["s-1"]) == Erased(1)
    assert [row.student_id for row in results(engine)] == ["", "", "s-3"]
    assert engine.batches.read(KEY).erased == 2


def test_a_summary_is_not_that_of_results_that_were_erased_meanwhile(engine: Engine) -> None:
    """Who reads the batch gets none then, and a new one the next time."""
    create(engine, record(engine, *(f"s-{number}" for number in range(1, 8))))
    finish(engine)
    erase_once(engine, "s-1")
    before = engine.batches.read(KEY)
    erase_once(engine, "s-2")
    assert with_current_summary(KEY, before, batches=engine.batches, consents=engine.consents).summary is None
    assert engine.batches.read(KEY).summary is None
    expected = summarize([row.score for row in results(engine)[2:]])
    assert (shown(engine).summary, expected is None) == (expected, False)
    assert engine.batches.read(KEY).summary == expected


def test_rows_of_another_version_keep_what_this_one_does_not_know(engine: Engine) -> None:
    """Values at the end of a row."""
    create(engine, given(2))
    finish(engine)
    name = f"{engine.settings.key_prefix}:{{t}}:batch-results:b-1"
    newer = [[*msgspec.to_builtins(row), {"more": [1, 0.5, "x"]}] for row in results(engine)]
    engine.redis.hset(name, "0", msgspec.msgpack.encode(newer))
    erase(engine, "g-0000")
    assert engine.redis.hget(name, "0") == msgspec.msgpack.encode([ERASED_ROW, newer[1]])


def test_the_batches_of_a_tenant_are_dropped(engine: Engine) -> None:
    """Also one that runs, whose tasks then find nothing; another tenant's stay, and the quota has room again."""
    for name in ("t/ended", "t/running", "t/unresolved", "tt/another"):
        items = None if name.endswith("unresolved") else [Item("s-1"), Item("s-2")]
        engine.batches.create(BatchKey.parse(name), ORDER, b"print", NOW, items=items)
    engine.batches.end(BatchKey("t", "ended"), BatchStatus.CANCELLED)
    engine.batches.take(BatchKey("t", "running"), "task")
    assert engine.batch_erasure.drop("t") == 3
    assert engine.batches.store(BatchKey("t", "running"), "task", 0, [Row("s-1"), Row("s-2")]) is Then.STOP
    left = [key for key in keys(engine) if key.startswith("{t}:batch") and not key.endswith(("usage", "number"))]
    assert (left, engine.batches.running()) == ([], 1)
    assert engine.batches.read(BatchKey("tt", "another")).total == 2
    assert engine.batch_erasure.drop("t") == 0


def test_a_batch_that_is_being_stored_stays_known_when_others_are_dropped(engine: Engine) -> None:
    """It is stored right after, with students who are new: later erasures, and the end of its retention, find it."""
    engine.batches._kept.touch(str(KEY), round(NOW.timestamp() * 1000))
    engine.batch_erasure.drop("t")
    assert [key for key, _ in engine.batches.stored_before(NOW, 9)] == [KEY]


def test_a_request_that_checked_its_students_before_all_were_dropped_is_refused(engine: Engine) -> None:
    """It checks them again."""
    erasures = engine.batches.erasures("t")
    engine.batch_erasure.drop("t")
    with pytest.raises(ErasedMeanwhile):
        engine.batches.create(KEY, ORDER, b"print", NOW, items=[Item("s-1")], erasures=erasures)
