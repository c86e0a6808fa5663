"""Erasures that Redis has lost are restored from their records, on every server."""

from datetime import datetime, timedelta

import pytest

from app.bootstrap import Engine
from app.clock import moment_of
from app.errors import DependencyUnavailable
from app.events.event_totals import Totals
from app.events.letter_keys import StudentEvent
from app.privacy.erase_students import request_erasures
from app.privacy.restore_erasures import Sources, restore_erasures
from app.pseudonyms import WHOLE_TENANT
from app.security.task_requests import TaskRequest
from app.storage.erased import Erased
from tests.contracts.erasures import TENANT, event, now, record, request, run


def restore(engine: Engine, recorded: dict[str, datetime], *, at: datetime | None = None) -> int:
    directories = engine.mastery.scores, engine.student_keys
    sources = Sources(engine.mastery.facts, directories, engine.erasures, engine.audit.pseudonyms, engine.letter_keys)
    return restore_erasures(TENANT, recorded, sources=sources, now=at or now())


def backup(engine: Engine) -> dict[bytes, bytes]:
    """Everything in Redis that does not expire."""
    keys = list(engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"))
    return {key: engine.redis.dump(key) or b"" for key in keys}


def load(engine: Engine, saved: dict[bytes, bytes]) -> None:
    """Lose everything, and restore a backup."""
    lose_everything(engine)
    for key, value in saved.items():
        engine.redis.restore(key, 0, value)


def lose_everything(engine: Engine) -> None:
    engine.redis.delete(*engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"))


def erase(engine: Engine, *students: str) -> dict[str, datetime]:
    """Request the erasure of students. Returns what Kafka has of it."""
    return {each.pseudonym: moment_of(each.requested) for each in request(engine, *students)}


def test_an_empty_redis_refuses_again_what_was_erased(engine: Engine) -> None:
    """As often as the records are read; later events of the student count, as do all of others."""
    old, another = event("s-1"), event("s-2")
    recorded = erase(engine, "s-1")
    lose_everything(engine)
    assert [1, 0] == [restore(engine, recorded), restore(engine, recorded)]
    record(engine, old, another, event("s-1", ago=-1))
    assert Totals(applied=2, erased=1) == engine.event_totals.of(TENANT)
    assert engine.erasures.claim_overdue(0, 10) == []


def test_a_backup_that_brings_the_keys_of_dead_letters_back(engine: Engine) -> None:
    """They are deleted by pseudonym, since there may be nothing else of the student."""
    erased, kept = engine.letter_keys.issue([StudentEvent(TENANT, student, now()) for student in ("s-1", "s-2")])
    saved = backup(engine)
    recorded = erase(engine, "s-1")
    load(engine, saved)
    assert engine.letter_keys.find([erased.name, kept.name]) == [erased.key, kept.key]
    assert restore(engine, recorded) == 1
    assert engine.letter_keys.find([erased.name, kept.name]) == [None, kept.key]


def test_a_backup_that_brings_a_student_back(engine: Engine) -> None:
    """The facts go at once, and tasks erase the rest. Events from after the erasure count when they come again."""
    record(engine, event("s-1", correct_answers=1), event("s-2"))
    engine.task_requests.remember(TENANT, "task", requested_by("s-3"), 60)
    saved = backup(engine)
    recorded = erase(engine, "s-1", "s-3")
    returned = event("s-1", ago=0, correct_answers=10)
    load(engine, saved)
    assert engine.mastery.scores.members(TENANT) == {"s-1", "s-2"}
    assert restore(engine, recorded) == 2
    assert engine.mastery.scores.members(TENANT) == {"s-2"}
    assert record(engine, event("s-1"), returned).applied == 1
    asked: list[str] = []

    def others(_tenant: str, students: list[str]) -> Erased:
        asked.extend(students)
        return Erased(0)

    assert engine.erasures.claim_overdue(0, 10) == [TENANT]
    assert all(attempt.receipt for attempt in run(engine, others))
    assert sorted(asked) == ["s-1", "s-3"]
    assert engine.mastery.scores.members(TENANT) == {"s-1", "s-2"}
    assert restore(engine, recorded) == 0
    announced = {erasure.until for each in engine.outbox.read([TENANT], 100)[TENANT] for erasure in each.erasures}
    assert {moment_of(until) for until in announced} == set(recorded.values())


def requested_by(student: str) -> TaskRequest:
    return TaskRequest(f"student:{student}", [student])


def test_a_crash_in_between_loses_no_erasure(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was: the erasure counts as lost until everything else is done."""
    record(engine, event("s-1"))
    saved = backup(engine)
    recorded = erase(engine, "s-1")
    for store, call in ((engine.erasures, "accept"), (engine.mastery.facts, "erase"), (engine.mastery.facts, "remember")):
        load(engine, saved)
        with monkeypatch.context() as crashing:
            crashing.setattr(store, call, crash)
            with pytest.raises(DependencyUnavailable):
                restore(engine, recorded)
        restore(engine, recorded)
        assert engine.mastery.scores.members(TENANT) == set()
        assert record(engine, event("s-1")).erased == 1
        assert [attempt.erasure.student_id for attempt in run(engine)] == ["s-1"]


def crash(*_: object, **__: object) -> None:
    raise DependencyUnavailable("redis")


def test_nothing_happens_to_those_who_returned_while_nothing_was_lost(engine: Engine) -> None:
    """After an erasure of their own, and after that of the whole tenant."""
    recorded = erase(engine, "s-1")
    pseudonym = engine.audit.pseudonym(TENANT, "s-2")
    (everybody,) = request_erasures(
        TENANT, {WHOLE_TENANT: ""}, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
    )
    recorded |= {WHOLE_TENANT: moment_of(everybody.requested), pseudonym: moment_of(everybody.requested)}
    record(engine, event("s-1", ago=-1), event("s-2", ago=-1))
    assert restore(engine, recorded) == 0
    assert engine.mastery.scores.members(TENANT) == {"s-1", "s-2"}


@pytest.mark.parametrize(("days", "lost", "left"), [(1, 1, set()), (3, 0, {"s-1"})])
def test_an_erasure_from_before_the_retention_is_ignored(engine: Engine, days: int, lost: int, left: set[str]) -> None:
    """It was forgotten, not lost: the student may have returned since."""
    record(engine, event("s-1"))
    until = now() - timedelta(days=engine.settings.retention_days + days)
    assert restore(engine, {engine.audit.pseudonym(TENANT, "s-1"): until}) == lost
    assert engine.mastery.scores.members(TENANT) == left


def test_the_erasure_of_a_tenant_is_restored(engine: Engine) -> None:
    """All students whom the backup has go at once, and a task erases the rest of the tenant."""
    record(engine, *(event(f"s-{number}") for number in range(20)))
    saved = backup(engine)
    (everybody,) = request_erasures(
        TENANT, {WHOLE_TENANT: ""}, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
    )
    load(engine, saved)
    assert restore(engine, {WHOLE_TENANT: moment_of(everybody.requested)}) == 1
    assert engine.mastery.scores.members(TENANT) == set()
    assert record(engine, event("s-1"), event("s-new"), event("s-2", ago=-1)).applied == 1
    attempts = run(engine)
    assert [attempt.erasure.pseudonym for attempt in attempts if attempt.receipt] == [WHOLE_TENANT]
    assert engine.mastery.scores.members(TENANT) == {"s-2"}


def test_only_a_later_erasure_replaces_a_known_one(engine: Engine) -> None:
    """Whatever the order of the records."""
    facts = engine.mastery.facts
    facts.remember(TENANT, {"a" * 24: 2, "b" * 24: 2})
    facts.remember(TENANT, {"a" * 24: 1, "b" * 24: 3})
    assert facts.lost_erasures(TENANT, {"a" * 24: 2, "b" * 24: 4, "c" * 24: 1}) == {"b" * 24: 4, "c" * 24: 1}
    facts.refuse(TENANT, 3)
    facts.refuse(TENANT, 1)
    assert facts.lost_erasures(TENANT, {"a" * 24: 3, "b" * 24: 4, "c" * 24: 1}) == {"b" * 24: 4}
