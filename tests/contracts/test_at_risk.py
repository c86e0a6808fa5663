"""What is listed of students at risk, and what a page shows: computed once, and never of those who have left meanwhile."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from app.bootstrap import Engine
from app.errors import InvalidInput, NotFound
from app.mastery.evidence import QUIZ
from app.predictions import at_risk as module
from app.predictions.at_risk import NOBODY, Listed, students_at_risk
from app.predictions.at_risk_page import COMPUTED_ANEW, Page, Position, Selection, at_risk_page
from app.predictions.origins import Origins
from app.predictions.risk_estimator import BASE_RISK, BaseRisk, RiskEstimators
from app.predictions.risk_store import CLAIM_SECONDS
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation
from tests.contracts.risk_lists import ABOUT, NAMES, decide, forget, listed, put, with_list

WHOLE = Selection(10)


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With five students of c-1 and their list: s-4 has the highest probability, 0.9."""
    return with_list(engine)


class Changing(BaseRisk):
    """The table, while something happens."""

    change: Callable[[], object]

    def probability(self, of: Origins, /) -> object:  # type: ignore[override]
        self.change()
        return super().probability(of)


def during(change: Callable[[], object]) -> RiskEstimators:
    made = type("Slow", (Changing,), {"change": staticmethod(change)})()
    return lambda *_: made


def compute(engine: Engine, change: Callable[[], object] | None = None, now: datetime = NOW) -> Listed:
    using = engine.risk_listing if change is None else engine.risk_listing._replace(estimators=during(change))
    return students_at_risk("t", "c-1", using=using, now=now, note=lambda _students: None)


def page(engine: Engine, wanted: Selection = WHOLE, now: datetime = NOW) -> Page | None:
    return at_risk_page("t", "c-1", wanted, using=engine.risk_listing, now=now)


def names(of: Page | None) -> list[str]:
    assert of is not None
    return [each.student_id for each in of.students]


def test_what_is_computed(engine: Engine) -> None:
    """Of the students who allow it, by the table; the facts of nobody else are read."""
    forget(engine)
    decide(engine, "s-1", given=False)
    read: list[str] = []

    def note(students: Sequence[str]) -> None:
        read.extend(students)

    made = students_at_risk("t", "c-1", using=engine.risk_listing, now=NOW, note=note)
    assert (made.about, made.students, sorted(read)) == (ABOUT, 4, ["s-0", "s-2", "s-3", "s-4"])
    part = engine.risk_lists.part("t", "c-1", 100, 0.0)
    assert {probability for _, probability in part.students} == {0.85}  # mastery 0.24, and no evidence for three days


def test_it_is_computed_once(engine: Engine) -> None:
    """A second call finds it; the next day, and another model, need another one."""
    fail = lambda: pytest.fail("computed again")  # noqa: E731
    assert compute(engine, fail) == Listed(ABOUT, 5)
    assert compute(engine, now=NOW + timedelta(days=1)).about.day == TODAY + 1
    forget(engine)
    put(engine)
    other = engine.risk_listing._replace(estimators=lambda *_: BaseRisk(version="2"))
    assert students_at_risk("t", "c-1", using=other, now=NOW, note=lambda _students: None).about.model_version == "2"


def test_only_the_lowest_of_a_large_cohort(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who needs help least is left out."""
    forget(engine)
    merge(engine, observation(20, TODAY, QUIZ, 0, 90), student="s-3")
    monkeypatch.setattr(module, "MOST_STUDENTS", 1)
    assert (compute(engine).students, listed(engine)) == (1, ["s-3"])


@pytest.mark.parametrize("what", ["erasure", "erasure and return", "move"])
def test_who_leaves_while_it_is_computed(engine: Engine, what: str) -> None:
    """Is not in it."""
    forget(engine)

    def change() -> None:
        if what == "move":
            merge(engine, observation(11, TODAY, QUIZ, 1, 10, "c-2"), student="s-2")
        else:
            engine.mastery.facts.erase("t", {"s-2": 1})
        if what == "erasure and return":
            merge(engine, observation(12, TODAY, QUIZ, 1, 10, stamp=2**53 - 1), student="s-2")

    compute(engine, change)
    assert listed(engine) == ["s-4", "s-3", "s-1", "s-0"]
    assert "{t}:at-risk:c-2" not in keys(engine)


def test_a_damaged_record(engine: Engine) -> None:
    """Its student is left out, of the list and of a page; the others are there."""
    engine.redis.hset(engine.mastery.facts.record_key("t", "s-2"), str(TODAY - 3), "damaged")
    assert names(page(engine)) == ["s-4", "s-3", "s-1", "s-0"]
    forget(engine)
    assert (compute(engine).students, "s-2" in listed(engine)) == (4, False)


def test_who_has_returned_after_an_erasure(engine: Engine) -> None:
    """Is in the list that is computed then, from the new facts."""
    engine.mastery.facts.erase("t", {"s-2": 1})
    merge(engine, observation(12, TODAY, QUIZ, 1, 10, stamp=2**53 - 1), student="s-2")
    forget(engine)
    assert compute(engine).students == 5


def test_a_stampede_computes_once(engine: Engine) -> None:
    """The others wait, and find it."""
    forget(engine)
    computed: list[int] = []

    def note() -> None:
        computed.append(1)
        time.sleep(0.2)  # so that the others come meanwhile

    with ThreadPoolExecutor(10) as callers:
        found = list(callers.map(lambda _: compute(engine, note), range(20)))
    assert (len(computed), {each.students for each in found}) == (1, {5})
    assert not any(key.startswith("{t}:at-risk-claim") for key in keys(engine))
    engine.risk_lists.claim("t", "c-1").take()
    assert 0 < engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:at-risk-claim:c-1") <= CLAIM_SECONDS


def test_nobody_with_evidence(engine: Engine) -> None:
    """An unknown cohort, and one whose evidence has all expired, though nobody has removed it yet; but not one that refuses."""
    for cohort, now in (("c-3", NOW), ("c-1", NOW + timedelta(days=100))):
        with pytest.raises(NotFound, match=NOBODY):
            students_at_risk("t", cohort, using=engine.risk_listing, now=now, note=lambda _students: None)
    for student in NAMES:
        decide(engine, student, given=False)
    forget(engine)
    assert compute(engine).students == 0
    assert names(page(engine)) == []


def test_a_page(engine: Engine) -> None:
    """Only of a valid list; without those who withdrew consent since, or are of another cohort by now."""
    assert names(page(engine)) == ["s-4", "s-3", "s-2", "s-1", "s-0"]
    decide(engine, "s-3", given=False)
    assert names(page(engine)) == ["s-4", "s-2", "s-1", "s-0"]
    engine.mastery.facts.merge("t", {"s-4": [observation(12, TODAY, QUIZ, 1, 10, "c-2")]}, TODAY)  # not ranked there yet
    assert names(page(engine)) == ["s-2", "s-1", "s-0"]
    assert page(engine, now=NOW + timedelta(days=1)) is None
    forget(engine)
    assert page(engine) is None


def test_a_page_of_an_unknown_cohort(engine: Engine) -> None:
    """It has nobody, so nothing has to be computed."""
    for tenant, cohort in (("t", "c-3"), ("u", "c-1")):
        with pytest.raises(NotFound, match=NOBODY):
            at_risk_page(tenant, cohort, Selection(1), using=engine.risk_listing, now=NOW)


@pytest.mark.parametrize("gone", [True, False])
def test_a_position_in_another_list(engine: Engine, gone: bool) -> None:
    """It is refused, with what to do: whether there is a new list by now or not."""
    first = page(engine, Selection(2))
    assert first is not None
    assert (names(first), first.following) == (["s-4", "s-3"], Position(ABOUT.computed_at, 3))
    assert names(page(engine, Selection(2, position=first.following))) == ["s-2", "s-1"]
    forget(engine)
    if not gone:
        compute(engine, now=NOW + timedelta(seconds=1))
    with pytest.raises(InvalidInput, match=COMPUTED_ANEW) as raised:
        page(engine, Selection(2, position=first.following))
    assert raised.value.field == "cursor"


def test_the_end(engine: Engine) -> None:
    """It has no position after it."""
    last = page(engine, Selection(2, position=Position(ABOUT.computed_at, 1)))
    assert (names(last), last and last.following) == (["s-0"], None)
    assert BASE_RISK.version == ABOUT.model_version


def test_a_position_is_text() -> None:
    """Which names no student."""
    position = Position(1_792_497_600_000_001, 40)
    assert (str(position), Position.of(str(position))) == ("1792497600000001-40", position)
