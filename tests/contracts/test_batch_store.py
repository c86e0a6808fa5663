"""Batches in Redis: each chunk is computed until its results are stored, and they count once."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from app.batches import batch_store
from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey, BatchOrder, BatchStatus, Item, Rejection, Summarized, Summary
from app.batches.batch_errors import BatchTaken, OverBatchQuota, TooManyBatches
from app.batches.batch_kinds import Row
from app.batches.batch_store import OWN_STUDENTS, BatchQuotas, BatchStore, Left, Then
from app.batches.expire_batches import expire_batches
from app.bootstrap import Engine
from app.config.quotas import Quotas
from app.errors import NotFound
from app.mastery.formula import DEFAULT_WEIGHTS, Components
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys

ORDER = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner="teacher:t-1", actor=["teacher", "t-1", "c", "proof"])
KEY = BatchKey("t", "b-1")
SUMMARY = Summary(mean=0.5, median=0.5, standard_deviation=0.0, lower_quartile=0.5, upper_quartile=0.5, levels={"expert": 1})


def ids(count: int) -> list[str]:
    return [f"s-{number}" for number in range(count)]


def items(count: int) -> list[Item]:
    return [Item(f"s-{number}") for number in range(count)]


def create(engine: Engine, count: int = 1, key: BatchKey = KEY, request: bytes = b"print") -> bool:
    return engine.batches.create(key, ORDER, request, NOW, items=items(count))


def rows(students: Sequence[Item], *, failed: int = 0) -> list[Row]:
    return [Row(item.student_id, "no" if at < failed else "", 0.5) for at, item in enumerate(students)]


def state(engine: Engine, key: BatchKey = KEY) -> Batch:
    return engine.batches.read(key)


def test_a_batch_is_read_as_it_was_created(engine: Engine) -> None:
    """With its order, its rejected students and its items in order."""
    students = [Item("s-1", Components(quiz=0.5)), Item("s-2")]
    rejected = [Rejection(2, "no evidence")]
    assert engine.batches.create(KEY, ORDER, b"print", NOW, items=students, rejected=rejected)
    found = state(engine)
    assert (found.order, found.status, found.total, engine.batches.rejected(KEY)) == (ORDER, BatchStatus.QUEUED, 2, rejected)
    assert (found.started, found.finished, found.summary, found.done) == (None, None, None, 0)
    assert engine.batches.take(KEY, "task").items == students


def test_the_same_request_creates_one_batch(engine: Engine) -> None:
    """Another request with its id is a conflict, and changes nothing."""
    assert create(engine)
    assert not create(engine)
    with pytest.raises(BatchTaken):
        create(engine, 2, request=b"another")
    assert state(engine).total == 1
    assert create(engine, key=BatchKey("u", "b-1"))  # ids are those of a tenant


def test_each_chunk_goes_to_one_task(engine: Engine) -> None:
    """In order, until all are taken; the batch runs from the first on."""
    create(engine, 2 * CHUNK_STUDENTS + 1)
    taken = [engine.batches.take(KEY, f"task-{number}") for number in range(4)]
    assert [(each.left, each.number, len(each.items)) for each in taken] == [
        (Left.CHUNK, 0, CHUNK_STUDENTS),
        (Left.CHUNK, 1, CHUNK_STUDENTS),
        (Left.CHUNK, 2, 1),
        (Left.NOTHING, 0, 0),
    ]
    assert state(engine).status is BatchStatus.RUNNING
    assert state(engine).started is not None


def test_a_task_that_is_delivered_again_gets_its_chunk_again(engine: Engine) -> None:
    """Its process died; the number of attempts tells."""
    create(engine, 2 * CHUNK_STUDENTS)
    first = engine.batches.take(KEY, "task")
    again = engine.batches.take(KEY, "task")
    assert (again.number, again.attempts) == (first.number, 2)
    engine.batches.store(KEY, "task", 0, rows(first.items))
    assert engine.batches.take(KEY, "task").number == 1


def test_a_chunk_is_free_again_after_its_lease(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its task is lost."""
    monkeypatch.setattr(batch_store, "LEASE_SECONDS", 0.0)
    create(engine)
    assert [engine.batches.take(KEY, task).number for task in ("lost", "another")] == [0, 0]


def test_the_results_of_a_chunk_count_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two tasks that computed it, those of the first are kept."""
    monkeypatch.setattr(batch_store, "LEASE_SECONDS", 0.0)
    students = items(2)
    create(engine, 2)
    assert [engine.batches.take(KEY, task).number for task in ("one", "two")] == [0, 0]
    assert engine.batches.store(KEY, "one", 0, rows(students, failed=1)) is Then.END
    engine.batches.store(KEY, "two", 0, rows(students))
    found = state(engine)
    assert (found.succeeded, found.failed, found.done) == (1, 1, 2)
    assert engine.batches.rows(KEY, [0, 1]) == [rows(students, failed=1), None]


def test_one_task_ends_a_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one does if that task is lost: after the lease."""
    create(engine)
    engine.batches.take(KEY, "one")
    assert engine.batches.store(KEY, "one", 0, rows(items(1))) is Then.END
    assert engine.batches.take(KEY, "two").left is Left.NOTHING
    monkeypatch.setattr(batch_store, "LEASE_SECONDS", 0.0)
    engine.redis.hset(f"{engine.settings.key_prefix}:{{t}}:batch:b-1", "ending", 0)
    assert engine.batches.take(KEY, "two").left is Left.DONE


def test_an_outage_is_no_attempt_at_a_chunk(engine: Engine) -> None:
    """A task that was retried has not ended its process; one that was delivered again has."""
    create(engine)
    taken = [engine.batches.take(KEY, "task", retries).attempts for retries in (0, 1, 2, 2, 3)]
    assert taken == [1, 1, 1, 2, 2]


def test_a_task_stores_only_the_chunk_that_it_took(engine: Engine) -> None:
    """After a crash of the server, its chunk may have other students."""
    create(engine, 2 * CHUNK_STUDENTS)
    engine.batches.take(KEY, "task")
    assert engine.batches.store(KEY, "task", 1, rows(items(1))) is Then.GO_ON
    assert engine.batches.store(KEY, "another", 0, rows(items(1))) is Then.GO_ON
    assert state(engine).done == 0


def test_students_are_resolved_once(engine: Engine) -> None:
    """Two tasks may find them; those of the first are kept."""
    engine.batches.create(KEY, ORDER, b"print", NOW)
    assert state(engine).total is None
    assert engine.batches.take(KEY, "task").left is Left.UNRESOLVED
    assert engine.batches.resolve(KEY, ids(3), 0)
    assert engine.batches.resolve(KEY, ids(5), 0)
    assert state(engine).total == 3
    assert len(engine.batches.take(KEY, "task").items) == 3


def test_a_batch_that_has_ended_takes_no_results(engine: Engine) -> None:
    """Those that it has stay; what was not computed is dropped."""
    create(engine, 3 * CHUNK_STUDENTS)
    for task in ("one", "two"):
        taken = engine.batches.take(KEY, task)
        if task == "one":
            engine.batches.store(KEY, task, taken.number, rows(taken.items))
    assert engine.batches.end(KEY, BatchStatus.CANCELLED, reason="why", summarized=Summarized(SUMMARY, "basis", 0))
    assert not engine.batches.end(KEY, BatchStatus.SUCCEEDED)
    assert not engine.batches.store(KEY, "two", 1, rows(items(1)))
    assert engine.batches.take(KEY, "three").left is Left.ENDED
    assert not engine.batches.resolve(KEY, ids(1), 0)
    found = state(engine)
    assert (found.status, found.reason, found.summary, found.done) == (BatchStatus.CANCELLED, "why", SUMMARY, CHUNK_STUDENTS)
    assert found.summary_basis == "basis"
    assert found.finished is not None
    assert not {"{t}:batch-chunks:b-1", "{t}:batch-due:b-1"} & keys(engine)


def test_a_batch_that_does_not_exist_has_ended(engine: Engine) -> None:
    """For a task that was sent before it was removed."""
    assert engine.batches.take(KEY, "task").left is Left.ENDED
    assert not engine.batches.end(KEY, BatchStatus.CANCELLED)
    with pytest.raises(NotFound):
        engine.batches.read(KEY)


def test_a_quota_bounds_the_students_of_stored_batches(engine: Engine) -> None:
    """Resolved ones count as listed ones do, and removed ones do not."""
    store = BatchStore(engine.redis, engine.settings.key_prefix, BatchQuotas(Quotas(str(2 * OWN_STUDENTS + 5)), Quotas("9")))
    first, second, third = (BatchKey("t", f"b-{number}") for number in range(3))
    store.create(first, ORDER, b"1", NOW, items=items(3))
    store.create(second, ORDER, b"2", NOW)
    with pytest.raises(OverBatchQuota, match="may have 45 students"):
        store.resolve(second, ids(3), 0)
    assert store.resolve(second, ids(2), 0)
    with pytest.raises(OverBatchQuota):
        store.create(third, ORDER, b"3", NOW)
    store.end(first, BatchStatus.CANCELLED)
    store.delete(first, NOW)
    assert store.create(third, ORDER, b"3", NOW)


def test_a_quota_bounds_the_batches_that_run(engine: Engine) -> None:
    """Those that ended or were removed do not count; a refused one leaves nothing behind."""
    store = BatchStore(engine.redis, engine.settings.key_prefix, BatchQuotas(Quotas("1000"), Quotas("2")))
    for number in (1, 2):
        store.create(BatchKey("t", f"b-{number}"), ORDER, b"", NOW)
    before = keys(engine), store.running(), store.stored_before(NOW, 9)
    with pytest.raises(TooManyBatches, match="2 batches of the tenant may run"):
        store.create(BatchKey("t", "b-3"), ORDER, b"", NOW)
    assert (keys(engine), store.running(), store.stored_before(NOW, 9)) == before
    store.end(BatchKey("t", "b-1"), BatchStatus.CANCELLED)
    store.create(BatchKey("t", "b-3"), ORDER, b"", NOW)
    store.delete(BatchKey("t", "b-2"), NOW)
    store.create(BatchKey("t", "b-4"), ORDER, b"", NOW)


def test_a_batch_of_another_version_is_left_alone_until_it_expires(engine: Engine) -> None:
    """It is in no list, cannot be read, and stops neither; then it is removed like others."""
    create(engine)
    create(engine, key=BatchKey("t", "b-2"))
    order = b'{"kind": "forecast", "owner": "teacher:t-1"}'
    engine.redis.hset(f"{engine.settings.key_prefix}:{{t}}:batch:b-1", "order", order)
    with pytest.raises(NotFound, match="another version"):
        state(engine)
    assert [batch.batch_id for batch in engine.batches.of_owner("t", ORDER.owner, before=None, limit=9)[0]] == ["b-2"]
    assert list(expire_batches(batches=engine.batches, retention=timedelta(hours=1), now=NOW + timedelta(hours=2))) == [2]
    assert "{t}:batch:b-1" not in keys(engine)
    assert engine.batches.of_owner("t", ORDER.owner, before=None, limit=1)[1] is None


def test_a_batch_that_is_created_again_is_not_removed(engine: Engine) -> None:
    """An older call that removes the former one comes late."""
    create(engine)
    engine.batches.keep(KEY, NOW + timedelta(hours=1))
    engine.batches._kept.release(str(KEY), round(NOW.timestamp() * 1000))
    assert len(engine.batches.stored_before(NOW + timedelta(hours=1), 9)) == 1


def test_a_caller_s_batches_are_listed_newest_first(engine: Engine) -> None:
    """By page; those of other callers are not among them."""
    for number in range(5):
        create(engine, key=BatchKey("t", f"b-{number}"))
    engine.batches.create(BatchKey("t", "other"), BatchOrder(day=1, weights=DEFAULT_WEIGHTS, owner="admin:t-1"), b"", NOW)
    first, following = engine.batches.of_owner("t", ORDER.owner, before=None, limit=3)
    second, end = engine.batches.of_owner("t", ORDER.owner, before=following, limit=3)
    assert [batch.batch_id for batch in (*first, *second)] == ["b-4", "b-3", "b-2", "b-1", "b-0"]
    assert end is None


def test_running_batches_are_claimed_when_they_are_idle(engine: Engine) -> None:
    """Once per period; not those that have a task, and not those that have ended."""
    for number in range(3):
        create(engine, key=BatchKey("t", f"b-{number}"))
    engine.batches.end(BatchKey("t", "b-0"), BatchStatus.CANCELLED)
    assert engine.batches.running() == 2
    assert engine.batches.claim_overdue(60, 10) == []
    assert engine.batches.claim_overdue(0, 10, {"t/b-1"}) == ["t/b-2"]
    engine.batches.forget(BatchKey("t", "b-2"))
    assert engine.batches.running() == 1


def test_batches_are_removed_a_retention_after_their_end(engine: Engine) -> None:
    """One that still runs ends as expired first. Nothing is left of a removed one."""
    retention = timedelta(hours=24)

    def expire(hours: float) -> list[int]:
        return list(expire_batches(batches=engine.batches, retention=retention, now=NOW + timedelta(hours=hours)))

    before = keys(engine)
    create(engine)
    taken = engine.batches.take(KEY, "task")
    assert expire(23) == []
    assert expire(25) == [0]
    assert (state(engine).status, state(engine).reason) == (BatchStatus.EXPIRED, "it was not done in time")
    assert not engine.batches.store(KEY, "task", 0, rows(taken.items))
    assert expire(48) == []
    end = state(engine).finished
    assert end is not None
    later = (end - NOW) / timedelta(hours=1)  # the server's clock is not the test's
    expire(later + 23)
    assert state(engine).status is BatchStatus.EXPIRED
    assert expire(later + 25) == [1]
    assert keys(engine) - before == {"{t}:batch-number", "{t}:batch-usage"}
    usage = engine.redis.hgetall(f"{engine.settings.key_prefix}:{{t}}:batch-usage")
    assert usage == {b"students": b"0", b"running": b"0"}


def test_a_batch_that_still_runs_after_two_retentions_is_removed(engine: Engine) -> None:
    """The workers were down so long: it is not kept for another one. Its tasks find nothing."""
    before = keys(engine)
    create(engine)
    taken = engine.batches.take(KEY, "task")
    assert list(expire_batches(batches=engine.batches, retention=timedelta(hours=1), now=NOW + timedelta(hours=2))) == [1]
    assert not engine.batches.store(KEY, "task", 0, rows(taken.items))
    assert keys(engine) - before == {"{t}:batch-number", "{t}:batch-usage"}


def test_a_batch_that_was_never_stored_is_forgotten(engine: Engine) -> None:
    """Its request died after it had noted it."""
    engine.batches.touch(KEY)
    engine.redis.zadd(f"{engine.settings.key_prefix}:{{.batches}}:stored", {str(KEY): 0})
    assert list(expire_batches(batches=engine.batches, retention=timedelta(hours=1), now=NOW)) == [1]
    assert engine.batches.running() == 0
    assert engine.batches.stored_before(NOW, 1) == []
