"""The summary of a batch leaves out who does not allow statistics, at each read."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from app.batches.batch import Batch, BatchStatus, Item, Summarized, Summary
from app.batches.summarize_batch import summarize_batch, with_current_summary, without_outdated_summary
from app.batches.summary import summarize
from app.bootstrap import Engine
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.mastery.formula import Components
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.batch_erasures import KEY, create, finish, forget_facts
from tests.contracts.conftest import keys

SCORES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]  # of the students s-0, s-1 …


@pytest.fixture
def batch(engine: Engine) -> Callable[[], Batch]:
    """A batch of seven students that has ended. Returns its state with the current summary."""
    weights = 0.3  # of the quiz
    create(engine, [Item(f"s-{number}", Components(quiz=score * weights)) for number, score in enumerate(SCORES)])
    finish(engine)
    return lambda: with_current_summary(KEY, stored(engine), batches=engine.batches, consents=engine.consents)


def stored(engine: Engine) -> Batch:
    return engine.batches.read(KEY)


def expected(engine: Engine, *left_out: str) -> Summary | None:
    rows = engine.batches.rows(KEY, [0])[0] or []
    return summarize([row.score for row in rows if row.student_id not in left_out])


def decide(engine: Engine, student: str, *, given: bool = False, purpose: Purpose = Purpose.COHORT_STATISTICS) -> None:
    change_consent("t", student, {purpose: given}, Author("student", "x"), consents=engine.consents, now=NOW)


def reads(engine: Engine) -> int:
    """How often results were read."""
    return int(engine.redis.info("commandstats").get("cmdstat_hmget", {"calls": 0})["calls"])


def test_who_withdrew_before_the_end(engine: Engine) -> None:
    """Is not in the stored summary."""
    decide(engine, "s-0")
    create(engine, [Item(f"s-{number}", Components(quiz=score)) for number, score in enumerate(SCORES)])
    ended = finish(engine)
    assert (ended.status, ended.succeeded) == (BatchStatus.SUCCEEDED, 7)
    assert ended.summary == expected(engine, "s-0") is not None


def test_who_withdraws_after_the_end(engine: Engine, batch: Callable[[], Batch]) -> None:
    """Is left out from the next read on, and is back with a new consent."""
    assert batch().summary == expected(engine) is not None
    decide(engine, "s-6")
    assert batch().summary == expected(engine, "s-6") is not None
    assert stored(engine).summary == expected(engine, "s-6")
    decide(engine, "s-3")
    assert batch().summary == expected(engine, "s-6", "s-3") is not None
    decide(engine, "s-6", given=True)
    assert batch().summary == expected(engine, "s-3") is not None


def test_fewer_than_five(engine: Engine, batch: Callable[[], Batch]) -> None:
    """Have no summary; it comes back with a fifth student."""
    for number in range(3):
        decide(engine, f"s-{number}")
    assert (batch().summary, stored(engine).summary) == (None, None)
    decide(engine, "s-0", given=True)
    assert batch().summary == expected(engine, "s-1", "s-2") is not None


@pytest.mark.parametrize("withdrawn", [1, 3])
def test_it_is_computed_once(engine: Engine, batch: Callable[[], Batch], withdrawn: int) -> None:
    """Until somebody decides about it again; also if there are too few for a summary."""
    for number in range(withdrawn):
        decide(engine, f"s-{number}")
    found = batch()
    decide(engine, "s-6", purpose=Purpose.PREDICTIONS)
    before = reads(engine)
    assert [batch().summary for _ in range(3)] == [found.summary] * 3
    assert reads(engine) == before


def test_a_decision_while_it_is_computed(engine: Engine, batch: Callable[[], Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary may have that student; the next read finds it outdated."""
    allowing = engine.consents.allowing

    def before_another(*arguments: Any) -> set[str]:
        found = allowing(*arguments)
        monkeypatch.undo()
        decide(engine, "s-1")
        return found

    decide(engine, "s-0")
    monkeypatch.setattr(engine.consents, "allowing", before_another)
    assert batch().summary == expected(engine, "s-0")
    assert batch().summary == expected(engine, "s-0", "s-1") is not None


def test_a_student_who_is_erased_while_it_is_computed(
    engine: Engine, batch: Callable[[], Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is neither stored nor answered."""
    rows = engine.batches.rows

    def before_erasure(*arguments: Any) -> Sequence[Any]:
        found = rows(*arguments)
        monkeypatch.undo()
        forget_facts(engine, "s-1")
        engine.batch_erasure.erase("t", ["s-1"])
        return found

    decide(engine, "s-0")
    monkeypatch.setattr(engine.batches, "rows", before_erasure)
    assert batch().summary is None
    assert batch().summary == stored(engine).summary == expected(engine, "s-0", "") is not None


def test_a_batch_of_a_version_without_consent(engine: Engine, batch: Callable[[], Batch]) -> None:
    """Its summary is computed anew."""
    decide(engine, "s-0")
    batch()
    name = f"{engine.settings.key_prefix}:{{t}}:batch:b-1"
    engine.redis.hdel(name, "summary_basis")
    old = Summary(mean=9.0, median=0.0, standard_deviation=0.0, lower_quartile=0.0, upper_quartile=0.0, levels={})
    engine.redis.hset(name, "summary", msgspec.json.encode(old))
    assert stored(engine).summary is not None
    assert batch().summary == expected(engine, "s-0")


def test_a_batch_that_did_not_end_by_itself_gets_none(engine: Engine) -> None:
    """A running one neither."""
    create(engine, [Item(f"s-{number}", Components(quiz=score)) for number, score in enumerate(SCORES)])
    decide(engine, "s-0")
    for status in (BatchStatus.QUEUED, BatchStatus.CANCELLED):
        if status.is_final:
            engine.batches.end(KEY, status)
        found = with_current_summary(KEY, stored(engine), batches=engine.batches, consents=engine.consents)
        assert (found.status, found.summary) == (status, None)


def test_a_list_has_no_outdated_summaries(engine: Engine, batch: Callable[[], Batch]) -> None:
    """Those of other tenants do not matter."""
    assert without_outdated_summary("t", [stored(engine)], consents=engine.consents) == [stored(engine)]
    change_consent("u", "s-0", {Purpose.COHORT_STATISTICS: False}, Author("admin", "x"), consents=engine.consents, now=NOW)
    assert without_outdated_summary("t", [stored(engine)], consents=engine.consents) == [stored(engine)]
    decide(engine, "s-0")
    assert without_outdated_summary("t", [stored(engine)], consents=engine.consents)[0].summary is None
    batch()
    assert without_outdated_summary("t", [stored(engine)], consents=engine.consents)[0].summary is not None


def test_a_batch_that_was_removed_stays_away(engine: Engine, batch: Callable[[], Batch]) -> None:
    """A summary that was being computed does not bring its key back."""
    summarized = summarize_batch(KEY, 7, 0, batches=engine.batches, consents=engine.consents)
    batch()
    engine.batches.delete(KEY, NOW)
    assert engine.batches.store_summary(KEY, summarized)
    assert engine.batches.store_summary(KEY, Summarized(None, "", 5))
    assert "{t}:batch:b-1" not in keys(engine)
