"""Overviews of cohorts leave out who does not allow statistics, from the next read on."""

from collections import Counter

from app.bootstrap import Engine
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.consent.consent_store import ConsentStore
from app.mastery.evidence import QUIZ
from app.mastery.formula import Level
from app.mastery.overview import CohortLevels, cohort_levels, most_in_need
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, merge, observation


def record(engine: Engine, students: int) -> None:
    """Students s-0, s-1 … of the cohort c-1, each better than the one before."""
    for number in range(students):
        merge(engine, observation(1, TODAY, QUIZ, number, 10), student=f"s-{number}")


def decide(engine: Engine, student: str, *, given: bool) -> None:
    by = Author("student", "x")
    change_consent("t", student, {Purpose.COHORT_STATISTICS: given}, by, consents=engine.consents, now=NOW)


def levels(engine: Engine, consents: ConsentStore | None = None) -> CohortLevels | None:
    return cohort_levels("t", "c-1", stores=engine.mastery, consents=consents or engine.consents)


def in_need(engine: Engine, count: int = 3) -> list[str]:
    found = most_in_need(stores=engine.mastery, consents=engine.consents, now=NOW, count=count)
    return [standing.student_id for _tenant, standing in found]


def test_who_withdraws_is_left_out_at_once(engine: Engine) -> None:
    """Of number, mean and levels; who consents again is back."""
    record(engine, 7)
    assert levels(engine) == CohortLevels("t", "c-1", 7, 0.09, Counter({Level.BEGINNER: 7}))
    decide(engine, "s-6", given=False)
    assert levels(engine) == CohortLevels("t", "c-1", 6, 0.075, Counter({Level.BEGINNER: 6}))
    decide(engine, "s-6", given=True)
    assert levels(engine) == CohortLevels("t", "c-1", 7, 0.09, Counter({Level.BEGINNER: 7}))


def test_fewer_than_five_have_no_statistics(engine: Engine) -> None:
    """Only those who consent count; a cohort without students has none either."""
    record(engine, 5)
    assert levels(engine) is not None
    decide(engine, "s-0", given=False)
    assert levels(engine) is None
    assert cohort_levels("t", "c-9", stores=engine.mastery, consents=engine.consents) is None


def test_a_consent_that_has_to_be_recorded(engine: Engine) -> None:
    """Only recorded ones count then."""
    record(engine, 7)
    strict = ConsentStore(engine.redis, engine.settings.key_prefix, 90, frozenset({Purpose.COHORT_STATISTICS}))
    for number in range(5):
        assert levels(engine, strict) is None
        decide(engine, f"s-{number}", given=True)
    assert levels(engine, strict) == CohortLevels("t", "c-1", 5, 0.06, Counter({Level.BEGINNER: 5}))


def test_the_list_of_those_in_need_has_others_instead(engine: Engine) -> None:
    """It is as long as before."""
    record(engine, 6)
    assert in_need(engine) == ["s-0", "s-1", "s-2"]
    decide(engine, "s-1", given=False)
    assert in_need(engine) == ["s-0", "s-2", "s-3"]
