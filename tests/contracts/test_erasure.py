"""Erasures: facts go at once, earlier events are refused from then on, and a student who returns begins anew."""

from base64 import b64encode
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from app.bootstrap import Engine, bootstrap
from app.clock import day_number
from app.errors import NotFound
from app.events.chunk import Chunk, SourceRecord
from app.events.event_totals import Totals
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import QUIZ
from app.mastery.query_mastery import query_mastery
from app.privacy.erase_students import Step
from app.privacy.erasure import ErasureStatus, PendingErasure
from app.privacy.expire_erasures import expire_erasures
from app.storage.erased import Erased, ErasedFacts
from tests.contracts.conftest import keys, observation
from tests.contracts.erasures import TENANT, announced, dump, event, now, record, request, run, start


def test_an_erased_student_is_gone_at_once(engine: Engine) -> None:
    """Facts, marks, membership, ranking, and the cohort without other students; another student is untouched."""
    record(engine, event("s-1", cohort_id="c-1"), event("s-2", cohort_id="c-2"))
    request(engine, "s-1")
    with pytest.raises(NotFound):
        query_mastery(TENANT, "s-1", stores=engine.mastery, now=now())
    left = [key for key in keys(engine) if "s-1" in key]
    assert ([], {"s-2"}, ["c-2"]) == (left, engine.mastery.scores.members(TENANT), engine.mastery.scores.cohorts(TENANT))
    assert query_mastery(TENANT, "s-2", stores=engine.mastery, now=now()).score > 0


def test_earlier_events_are_refused_and_counted(engine: Engine) -> None:
    """Events that were recorded before and arrive again, and others with an earlier timestamp, also in a chunk that repeats."""
    known, late = event("s-1"), event("s-1", ago=5)
    record(engine, known)
    request(engine, "s-1")
    assert (2, 0) == record(engine, known, late)[3:1:-1]
    assert Totals(applied=1, erased=2) == engine.event_totals.of(TENANT)
    assert engine.mastery.scores.members(TENANT) == set()


def test_a_student_who_returns_begins_anew(engine: Engine) -> None:
    """Later events count, earlier ones still do not. Revisions go on from the time, so they do not tell what came before."""
    record(engine, event("s-1", correct_answers=1))
    (before,) = engine.mastery.facts.merge(TENANT, {"s-1": []}, day_number(now()))
    request(engine, "s-1")
    outcome = record(engine, event("s-1", ago=-1, correct_answers=10), event("s-1", correct_answers=2))
    assert (1, 1) == (outcome.applied, outcome.erased)
    (after,) = engine.mastery.facts.merge(TENANT, {"s-1": []}, day_number(now()))
    assert before.window is not None
    assert after.window is not None
    assert (10, 10) == (after.window.correct, after.window.asked)
    assert after.window.revision > before.window.revision
    assert abs(now().timestamp() - after.window.revision) < 60
    assert query_mastery(TENANT, "s-1", stores=engine.mastery, now=now()).components["quiz"] == 1


def test_a_score_of_erased_facts_is_not_stored(engine: Engine) -> None:
    """A worker that computed it before the erasure stores it when the student has returned: it is dropped."""
    today = day_number(now())
    record(engine, event("s-1", correct_answers=1))
    (merged,) = engine.mastery.facts.merge(TENANT, {"s-1": [observation(7, today, QUIZ, 1, 10)]}, today)
    request(engine, "s-1")
    (returned,) = engine.mastery.facts.merge(
        TENANT, {"s-1": [observation(8, today, QUIZ, 9, 10, stamp=engine.erasures.touch(TENANT) + 1)]}, today
    )
    derive_scores(TENANT, [merged], stores=engine.mastery, now=now())
    assert engine.mastery.scores.cohorts(TENANT) == []
    derive_scores(TENANT, [returned], stores=engine.mastery, now=now())
    assert engine.mastery.scores.ranking(TENANT, "c-1") == [("s-1", 0.27)]


def test_the_erasure_of_facts_may_be_repeated(engine: Engine) -> None:
    """A task that repeats it leaves the facts of a student who has returned."""
    (pending,) = request(engine, "s-1")
    record(engine, event("s-1", ago=-1))
    assert engine.mastery.facts.erase(TENANT, {"s-1": pending.requested}) == ErasedFacts(0, frozenset({"s-1"}))
    assert engine.mastery.scores.members(TENANT) == {"s-1"}


def test_an_erasure_is_known_under_the_previous_key_too(engine: Engine) -> None:
    """After a change of the audit key, earlier events are refused, and the receipt is found."""
    record(engine, event("s-1"))
    request(engine, "s-1")
    run(engine)
    secret = engine.settings.audit_key
    later = bootstrap(replace(engine.settings, audit_key="another-key-of-thirty-two-bytes-or-more", audit_key_previous=secret))
    with closing(later.redis):
        assert record(later, event("s-1")).erased == 1
        found = later.erasures.read(TENANT, later.audit.pseudonyms(TENANT, "s-1"))
    assert found.status is ErasureStatus.DONE


def test_another_tenants_student_of_the_same_id_is_untouched(engine: Engine) -> None:
    """The pseudonyms differ, and so do the keys."""
    record(engine, event("s-1"))
    request(engine, "s-1", tenant="u")
    assert engine.mastery.scores.members(TENANT) == {"s-1"}
    assert record(engine, event("s-1")).applied == 1


def test_an_erasure_waits_for_work_in_progress(engine: Engine) -> None:
    """It is tried again until every store is done; then the receipt has the counts of all attempts, and no name."""
    answers = iter([Erased(2, is_done=False), Erased(1)])
    record(engine, event("s-1"))
    (pending,) = request(engine, "s-1")
    once = partial(run, engine, lambda *_: next(answers))
    assert [None] == [each.receipt for each in once()]
    assert engine.erasures.read(TENANT, [pending.pseudonym]).status is ErasureStatus.RUNNING
    (attempt,) = once()
    assert attempt.receipt is not None
    assert {"facts": 1, "store 0": 3} == dict(attempt.receipt.erased)
    assert attempt.receipt == engine.erasures.read(TENANT, [pending.pseudonym])
    assert once() == []
    found = [key for key in engine.redis.scan_iter(f"{engine.settings.key_prefix}:*") if b"s-1" in key + dump(engine, key)]
    assert [f"{engine.settings.key_prefix}:{{t}}:changes".encode()] == found  # the outbox's, which this test does not erase


def test_an_erasure_waits_for_events_in_flight(engine: Engine) -> None:
    """A chunk that was accepted before the erasure; one that is accepted later does not matter."""
    chunk = Chunk("mastery.events", now(), [SourceRecord(0, 0, event("s-2")), SourceRecord(0, 1, event("s-1"))])
    accepted = engine.ledger.accept(chunk)
    request(engine, "s-1")
    assert [None] == [each.receipt for each in run(engine)]
    engine.ledger.finish(str(accepted.chunk_id))
    engine.ledger.accept(chunk._replace(accepted_at=now() + timedelta(hours=1)))
    assert [None] != [each.receipt for each in run(engine)]


def test_a_failing_erasure_does_not_stop_the_others(engine: Engine) -> None:
    """It is tried last in the next run."""
    first, second = request(engine, "s-1", "s-2")

    def fail_first(_tenant: str, students: list[str]) -> Erased:
        if students == ["s-1"]:
            raise ZeroDivisionError
        return Erased(0)

    with pytest.raises(ZeroDivisionError):
        run(engine, fail_first)
    with pytest.raises(ZeroDivisionError):
        run(engine, fail_first)
    assert ErasureStatus.DONE is engine.erasures.read(TENANT, [second.pseudonym]).status
    assert ErasureStatus.RUNNING is engine.erasures.read(TENANT, [first.pseudonym]).status


def test_a_request_for_a_running_erasure_extends_it(engine: Engine) -> None:
    """What came since the first request is erased too; an attempt that began before does not finish it."""
    record(engine, event("s-1"))
    (first,) = request(engine, "s-1")
    record(engine, event("s-1", ago=-1))
    assert engine.mastery.scores.members(TENANT) == {"s-1"}

    def request_again(*_: object) -> Erased:
        if not again:
            again.extend(request(engine, "s-1"))
        return Erased(0)

    again: list[PendingErasure] = []
    assert [None] == [each.receipt for each in run(engine, request_again)]
    assert (again[0].erasure_id, engine.mastery.scores.members(TENANT)) == (first.erasure_id, set())
    assert again[0].requested > first.requested
    assert [None] != [each.receipt for each in run(engine)]
    (later,) = request(engine, "s-1")
    assert later.erasure_id != first.erasure_id


def test_the_receipt_is_audited_before_the_erasure_is_closed(engine: Engine) -> None:
    """If the process dies in between, the next run audits it again; the erasure has the same receipt."""
    (pending,) = request(engine, "s-1")
    audited: list[Step] = []

    def die(step: Step) -> None:
        audited.append(step)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(start(engine, audit=die))
    assert engine.erasures.running([TENANT]) == 1
    list(start(engine, audit=audited.append))
    assert [each.receipt for each in audited] == [engine.erasures.read(TENANT, [pending.pseudonym])] * 2
    assert engine.erasures.running([TENANT]) == 0


def test_an_erasure_is_announced_once(engine: Engine) -> None:
    """With the request; by the task only if the process died before."""
    request(engine, "s-1")
    run(engine)
    assert announced(engine) == ["s-1"]
    engine.erasures.accept(TENANT, {engine.audit.pseudonym(TENANT, "s-2"): "s-2"})
    run(engine)
    assert announced(engine) == ["s-1", "s-2"]


def test_a_sweep_finds_tenants_with_running_erasures(engine: Engine) -> None:
    """As soon as the request is stored, until all are done; a request during a run stays."""
    request(engine, "s-1")
    assert engine.erasures.claim_overdue(0, 10) == [TENANT]

    def another(*_: object) -> Erased:
        if len(requested) == 0:
            requested.extend(request(engine, "s-2"))
        return Erased(0)

    requested: list[PendingErasure] = []
    run(engine, another)
    assert engine.erasures.claim_overdue(0, 10) == [TENANT]
    run(engine)
    assert engine.erasures.claim_overdue(0, 10) == []


@pytest.mark.parametrize("message", [b'{"args": ["t", "s-1"]}', b'{"body": "' + b64encode(b'[["t", "s-1"], {}]') + b'"}'])
def test_malformed_messages_that_name_the_student_are_deleted(engine: Engine, message: bytes) -> None:
    """As text or in Base64; the others stay, as long as before, and no byte of the deleted ones is left in the stream."""
    messages, key = engine.malformed_messages, f"{engine.settings.key_prefix}:{{.tasks}}:malformed"
    for each in (b"another one", message, b'{"args": ["s-2"]}'):
        messages.set_aside("interactive", each, "is no call")
    engine.redis.expire(key, 1_000)
    assert Erased(1) == messages.erase(TENANT, ["s-1"])
    assert [b"another one", b'{"args": ["s-2"]}'] == [kept for _, _, kept in messages.kept()]
    assert message not in dump(engine, key.encode())
    assert 0 < engine.redis.ttl(key) <= 1_000
    assert Erased(0) == messages.erase(TENANT, ["s-1"])


def test_erasures_are_forgotten_when_events_so_old_have_expired(engine: Engine) -> None:
    """Not before: with the clock moved on, first by the retention, then beyond it."""
    record(engine, event("s-1"))
    request(engine, "s-1")
    retention = timedelta(days=engine.settings.retention_days)
    key = f"{engine.settings.key_prefix}:{{t}}:erased"
    assert [] == list(expire_erasures(stores=engine.mastery, now=now() + retention + timedelta(days=1)))
    assert engine.redis.exists(key)
    assert [1] == list(expire_erasures(stores=engine.mastery, now=now() + retention + timedelta(days=3)))
    assert not engine.redis.exists(key)
