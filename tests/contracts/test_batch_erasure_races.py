"""Students are erased while requests and tasks work on batches that have them: nothing of them is stored afterwards."""

from collections.abc import Callable, Iterator
from random import Random
from threading import Thread
from time import sleep

import msgspec
import pytest

from app.batches.batch import CHUNK_STUDENTS, BatchKey, BatchStatus, Item, Rejection
from app.batches.batch_errors import ErasedMeanwhile
from app.batches.batch_kinds import ERASED_ROW, NO_EVIDENCE
from app.batches.run_batch import MAX_ENDINGS, compute_rows
from app.batches.submit_batch import MAX_CHECKS, BatchRequest, NoValidStudent, Submitted, submit_batch
from app.batches.summarize_batch import with_current_summary
from app.batches.summary import summarize
from app.bootstrap import Engine, bootstrap
from app.mastery.formula import DEFAULT_WEIGHTS, Components
from app.roles import Role
from app.security.access import Principal
from tests.conftest import NOW
from tests.contracts.batch_erasures import KEY, ORDER, create, erase, everything, finish, record, results, run

ADMIN = Principal("a-1", Role.ADMIN, "t")
ALL = msgspec.structs.replace(ORDER, all=True)
SLOWEST_SECONDS = 0.02  # of a task, between its computing and its storing


@pytest.fixture
def then_erase(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets each call of a store's method be followed by the erasure of the next of some students, before it returns."""

    def prepare(store: object, name: str, *victims: str) -> None:
        method, left = getattr(store, name), iter(victims)

        def called(*arguments: object, **named: object) -> object:
            found = method(*arguments, **named)
            for victim in left:
                erase(engine, victim)
                break
            return found

        monkeypatch.setattr(store, name, called)

    return prepare


def submit(engine: Engine, *students: str) -> Submitted:
    request = BatchRequest("b-1", b"", DEFAULT_WEIGHTS, students=students)
    return submit_batch(request, ADMIN, (), stores=engine.mastery, batches=engine.batches, now=NOW)


def test_a_listed_student_who_is_erased_after_the_check(engine: Engine, then_erase: Callable[..., None]) -> None:
    """The list is checked again, and rejects the student."""
    record(engine, "s-1", "s-2")
    then_erase(engine.mastery.facts, "cohorts_of", "s-1")
    submitted = submit(engine, "s-1", "s-2")
    assert (submitted.total, submitted.rejected) == (1, [Rejection(0, NO_EVIDENCE)])
    assert b"s-1" not in everything(engine)


def test_a_request_is_refused_if_students_are_erased_during_all_its_checks(
    engine: Engine, then_erase: Callable[..., None]
) -> None:
    """It may be repeated."""
    victims = [f"s-{number}" for number in range(MAX_CHECKS)]
    record(engine, "another", *victims)
    then_erase(engine.mastery.facts, "cohorts_of", *victims)
    with pytest.raises(ErasedMeanwhile):
        submit(engine, "another", *victims)
    assert submit(engine, "another", *victims).total == 1
    assert not [victim for victim in victims if victim.encode() in everything(engine)]


def test_without_a_valid_student_left_the_request_is_refused(engine: Engine, then_erase: Callable[..., None]) -> None:
    """As if the student had never been there."""
    record(engine, "s-1")
    then_erase(engine.mastery.facts, "cohorts_of", "s-1")
    with pytest.raises(NoValidStudent):
        submit(engine, "s-1")


def test_an_erasure_in_another_tenant_is_no_reason_to_check_again(engine: Engine) -> None:
    """Batches are created as before."""
    erasures = engine.batches.erasures("t")
    erase(engine, "s-1", tenant="t-2")
    assert engine.batches.create(KEY, ORDER, b"", NOW, items=[Item("s-1")], erasures=erasures)


def test_a_member_who_is_erased_before_the_batch_has_its_students(engine: Engine, then_erase: Callable[..., None]) -> None:
    """The members are read again, by another task."""
    record(engine, "s-1", "s-2")
    create(engine, None, order=ALL)
    then_erase(engine.mastery.scores, "members", "s-1")
    step = run(engine)
    assert (step.goes_on, step.found_students) == (True, False)
    assert engine.batches.read(KEY).total is None
    ended = finish(engine)
    assert (ended.total, ended.succeeded, ended.erased) == (1, 1, 0)
    assert b"s-1" not in everything(engine)


def test_a_summary_does_not_have_a_student_who_was_erased_before_the_end(
    engine: Engine, then_erase: Callable[..., None]
) -> None:
    """The results for it had been read: they are read again."""
    create(engine, record(engine, *(f"s-{number}" for number in range(1, 8))))
    then_erase(engine.batches, "rows", "s-2")
    assert not run(engine).goes_on
    ended = engine.batches.read(KEY)
    assert (ended.status, ended.succeeded, ended.erased) == (BatchStatus.SUCCEEDED, 6, 1)
    assert ended.summary == summarize([row.score for row in results(engine) if row != ERASED_ROW])
    assert ended.summary is not None


def test_a_batch_that_cannot_end_for_erasures_ends_later(engine: Engine, then_erase: Callable[..., None]) -> None:
    """The sweep still finds it."""
    items = record(engine, "another", *(f"s-{number}" for number in range(MAX_ENDINGS)))
    create(engine, items)
    then_erase(engine.batches, "rows", *(item.student_id for item in items[1:]))
    run(engine)
    assert engine.batches.read(KEY).status is BatchStatus.RUNNING
    assert engine.batches.running() == 1
    engine.redis.hset(f"{engine.settings.key_prefix}:{{t}}:batch:b-1", "ending", 0)  # its lease
    ended = finish(engine)
    assert (ended.status, ended.succeeded, ended.erased) == (BatchStatus.SUCCEEDED, 1, MAX_ENDINGS)


@pytest.fixture
def workers(engine: Engine) -> Iterator[Callable[[BatchKey, Random], Thread]]:
    """Makes threads that run a batch to its end as workers do, each with its own connections."""
    engines: list[Engine] = []

    def start(key: BatchKey, chance: Random) -> Thread:
        own = bootstrap(engine.settings, clock=engine.clock)
        engines.append(own)

        def work() -> None:
            number = 0
            while not own.batches.read(key).status.is_final:
                number += 1
                task = f"{id(own)}-{number}"
                run(own, meanwhile=lambda: sleep(SLOWEST_SECONDS * chance.random()), task=task, key=key)

        thread = Thread(target=work)
        thread.start()
        return thread

    yield start
    for own in engines:
        own.redis.close()


@pytest.mark.parametrize("seed", range(3))
def test_students_are_erased_at_any_time(engine: Engine, seed: int, workers: Callable[[BatchKey, Random], Thread]) -> None:
    """While tasks compute, resolve and end: no key has anything of them, and all other results are those of a query."""
    chance = Random(seed)
    items = record(engine, *(f"member-{number:03}" for number in range(60)))
    listed = [*items, *(Item(f"given-{number:04}", Components(quiz=number / 5000)) for number in range(8 * CHUNK_STUDENTS))]
    chance.shuffle(listed)
    expected = compute_rows("t", ORDER, listed, using=engine.forecasting, now=NOW)
    batches = {name: BatchKey("t", name) for name in ("ended", "listed", "all")}
    create(engine, listed, batches["ended"])
    finish(engine, batches["ended"])
    create(engine, listed, batches["listed"])
    create(engine, None, batches["all"], ALL)
    victims = {item.student_id for item in [*chance.sample(items, 15), *chance.sample(listed, 25)]}

    threads = [workers(key, Random(seed)) for key in batches.values() for _ in range(2)]
    for victim in sorted(victims, key=lambda _: chance.random()):
        sleep(SLOWEST_SECONDS * chance.random() / 4)
        erase(engine, victim)
    for thread in threads:
        thread.join()

    left = everything(engine)
    assert [victim for victim in victims if victim.encode() in left] == []
    wanted = [ERASED_ROW if row.student_id in victims else row for row in expected]
    for name in ("ended", "listed"):
        ended = engine.batches.read(batches[name])
        ended = with_current_summary(batches[name], ended, batches=engine.batches, consents=engine.consents)
        assert results(engine, batches[name]) == wanted
        # How it ended: a student who was just being erased may have had no evidence then.
        assert ended.status in {BatchStatus.SUCCEEDED, BatchStatus.PARTLY_FAILED}
        assert (ended.failed, ended.erased) == (0, len(victims))
        assert ended.summary == summarize([row.score for row in wanted if row != ERASED_ROW])
    found = [row for row in results(engine, batches["all"]) if row != ERASED_ROW]
    assert {row.student_id: row for row in found} == {
        row.student_id: row for row in wanted if row.student_id.startswith("member-")
    }
