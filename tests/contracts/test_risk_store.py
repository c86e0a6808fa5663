"""The lists of students at risk, on every server: parts of the cohort's ranking, so that nobody who left it comes back."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.mastery.evidence import QUIZ
from app.predictions.risk_store import Estimate, RiskList
from tests.contracts.conftest import TODAY, merge, observation
from tests.contracts.risk_lists import ABOUT, BESIDE, LIST, NAMES, listed, put, with_list


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With five students of c-1 and their list: s-4 has the highest probability, 0.9."""
    return with_list(engine)


def test_a_list_is_read_in_parts(engine: Engine) -> None:
    """The highest first; with what is left after each, and how many there are in all."""
    first = engine.risk_lists.part("t", "c-1", 2, 0.0)
    assert (first.about, first.total, first.left, first.is_known) == (ABOUT, 5, 3, True)
    assert dict(first.students) == pytest.approx({"s-4": 0.9, "s-3": 0.8})
    assert [student for student, _ in first.students] == ["s-4", "s-3"]
    second = engine.risk_lists.part("t", "c-1", 2, 0.0, first.left)
    assert ([student for student, _ in second.students], second.left) == (["s-2", "s-1"], 1)
    third = engine.risk_lists.part("t", "c-1", 2, 0.0, second.left)
    assert ([student for student, _ in third.students], third.left) == (["s-0"], 0)


def test_a_part_of_high_probabilities(engine: Engine) -> None:
    """The total is that of the list; what is left, that of the selection. Exactly the probability is enough."""
    first = engine.risk_lists.part("t", "c-1", 2, 0.7)
    assert ([student for student, _ in first.students], first.total, first.left) == (["s-4", "s-3"], 5, 1)
    second = engine.risk_lists.part("t", "c-1", 2, 0.7, first.left)
    assert ([student for student, _ in second.students], second.left) == (["s-2"], 0)


@pytest.mark.parametrize("gone", ["s-4", "s-3", "s-2", "s-1", "s-0"])
def test_nobody_is_missing_when_somebody_is_removed(engine: Engine, gone: str) -> None:
    """Between two parts, wherever the removed student was: at most another one comes twice."""
    first = engine.risk_lists.part("t", "c-1", 2, 0.0)
    engine.mastery.facts.erase("t", {gone: 1})
    second = engine.risk_lists.part("t", "c-1", 9, 0.0, first.left)
    seen = [student for student, _ in first.students + second.students]
    assert set(seen) >= {*NAMES} - {gone}
    assert len(seen) <= len(NAMES)


def test_no_list(engine: Engine) -> None:
    """Of another cohort, or of the same name in another tenant; an unknown cohort says so."""
    merge(engine, observation(9, TODAY, QUIZ, 1, 10, "c-2"), student="s-9")
    for tenant, cohort, is_known in (("t", "c-2", True), ("t", "c-3", False), ("u", "c-1", False)):
        found = engine.risk_lists.part(tenant, cohort, 10, 0.0)
        assert (found.about, found.total, found.students, found.left, found.is_known) == (None, 0, [], 0, is_known)
    engine.redis.set(f"{engine.settings.key_prefix}:{BESIDE}", "damaged")
    assert engine.risk_lists.about("t", "c-1") == (None, 5)


def test_it_expires(engine: Engine) -> None:
    """With what is beside it, as forecasts do."""
    seconds = [engine.redis.ttl(f"{engine.settings.key_prefix}:{key}") for key in (LIST, BESIDE)]
    assert all(3590 <= each <= 3600 for each in seconds)


def test_a_new_list_replaces_the_old_one(engine: Engine) -> None:
    """Also an empty one."""
    assert engine.risk_lists.put("t", "c-1", ABOUT, {"s-1": Estimate(0.5)}) == 1
    assert listed(engine) == ["s-1"]
    assert engine.risk_lists.put("t", "c-1", ABOUT, {}) == 0
    assert (listed(engine), engine.risk_lists.about("t", "c-1")) == ([], (ABOUT, 0))


class Meanwhile(Mapping[str, Estimate]):
    """The estimate of s-0; when it is about to be stored, something happens."""

    def __init__(self, change: Callable[[], object]) -> None:
        self._change = change

    def __iter__(self) -> Iterator[str]:
        self._change()
        return iter(["s-0"])

    def __getitem__(self, _student: str) -> Estimate:
        return Estimate(0.1)

    def __len__(self) -> int:
        return 1


def test_two_who_store_a_list(engine: Engine) -> None:
    """The later one does: a list is never made of both."""
    with pytest.raises(DependencyUnavailable, match="is stored by another process"):
        engine.risk_lists.put("t", "c-1", ABOUT, Meanwhile(lambda: put(engine)))
    assert listed(engine) == ["s-4", "s-3", "s-2", "s-1", "s-0"]


def test_a_list_that_is_not_complete(engine: Engine) -> None:
    """Is none."""
    found: list[tuple[RiskList | None, int]] = []
    engine.risk_lists.put("t", "c-1", ABOUT, Meanwhile(lambda: found.append(engine.risk_lists.about("t", "c-1"))))
    assert (found, engine.risk_lists.about("t", "c-1")) == ([(None, 0)], (ABOUT, 1))


def test_a_large_list(engine: Engine) -> None:
    """Is stored in parts, and expires as a whole."""
    names = [f"many-{number}" for number in range(450)]
    engine.redis.zadd(f"{engine.settings.key_prefix}:{{t}}:ranking:c-1", dict.fromkeys(names, 0.5))
    assert engine.risk_lists.put("t", "c-1", ABOUT, {student: Estimate(0.5) for student in names}) == 450
    assert engine.redis.ttl(f"{engine.settings.key_prefix}:{LIST}") > 3590


def test_an_erased_student(engine: Engine) -> None:
    """Is removed by the erasure of the facts itself, and does not come back with a list that was being computed."""
    engine.mastery.facts.erase("t", {"s-2": 1})
    assert listed(engine) == ["s-4", "s-3", "s-1", "s-0"]
    assert put(engine) == 4
    assert "s-2" not in listed(engine)


def test_a_student_who_is_removed(engine: Engine) -> None:
    """Without an erasure of the facts; one who is in no list is none to remove."""
    for student in ("s-2", "s-nobody"):
        engine.risk_lists.erase("t", student)
    engine.risk_lists.erase("u", "s-1")
    assert listed(engine) == ["s-4", "s-3", "s-1", "s-0"]


def test_a_student_who_changes_cohorts(engine: Engine) -> None:
    """Leaves the list of the old one, and is in none of the new one that was computed before."""
    engine.risk_lists.put("t", "c-2", ABOUT, {})
    merge(engine, observation(10, TODAY, QUIZ, 1, 10, "c-2"), student="s-2")
    assert (listed(engine), listed(engine, "c-2")) == (["s-4", "s-3", "s-1", "s-0"], [])
    assert put(engine) == 4


def test_a_student_whose_evidence_expires(engine: Engine) -> None:
    """Leaves it with the ranking: whether the record can be read or not."""
    merge(engine, student="s-2", today=TODAY + 100)
    engine.redis.hset(engine.mastery.facts.record_key("t", "s-3"), "window", "damaged")
    assert engine.mastery.expired.remove("t", ["s-3"], TODAY + 100) == {"s-3"}
    assert listed(engine) == ["s-4", "s-1", "s-0"]
