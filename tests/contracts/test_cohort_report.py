"""What a report says of a cohort: its trend is what queries of each day say, is computed once, and follows consent."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from statistics import fmean

import pytest

from app.analytics import cohort_trend as module
from app.analytics.cohort_report import HELPED_FIRST, TOO_FEW, CohortReport, cohort_report, prepare_report
from app.analytics.cohort_trend import NoteStudents, cohort_trend
from app.analytics.trend_store import CLAIM_SECONDS, Trend
from app.analytics.weekly_means import ends_of_weeks
from app.bootstrap import Engine
from app.clock import day_date
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.errors import NotFound
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ, Observation
from app.mastery.query_mastery import query_mastery
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation

DAYS = ends_of_weeks(TODAY)
TREND = "{t}:cohort-trend:c-1"


def history(random: Random, number: int) -> list[Observation]:
    """Some evidence of each kind, in the last 90 days; of some students, only in the last 30."""
    first = TODAY - (29 if number % 3 == 0 else 89)
    found = []
    for at in range(random.randrange(1, 25)):
        day, kind = random.randint(first, TODAY), random.choice([ACTIVITY, COMPLETION, QUIZ, QUALITY])
        parts = {QUALITY: (random.randint(0, 1_000_000), 1), ACTIVITY: (0, 0)}.get(kind, (random.randint(0, 9), 9))
        found.append(observation(1000 * number + at, day, kind, *parts))
    return found


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With forty students of c-1, three of whom are in c-2 by now; s-5 and s-6 do not allow statistics."""
    random = Random(7)
    for number in range(40):
        merge(engine, *history(random, number), student=f"s-{number}")
    for number in (1, 2, 3):
        merge(engine, observation(90_000 + number, TODAY, QUIZ, 1, 2, "c-2", 2**52), student=f"s-{number}")
    for number in (5, 6):
        decide(engine, f"s-{number}", given=False)
    return engine


def decide(engine: Engine, student: str, *, given: bool, purpose: Purpose = Purpose.COHORT_STATISTICS) -> None:
    change_consent("t", student, {purpose: given}, Author("student", "x"), consents=engine.consents, now=NOW)


def ignore(_students: object) -> None:
    """A note that nobody reads."""


def trend(engine: Engine, note: NoteStudents = ignore, now: datetime = NOW) -> Trend:
    return cohort_trend("t", "c-1", using=engine.reporting.trending, now=now, note=note)


def prepare(engine: Engine, cohort: str = "c-1", now: datetime = NOW) -> None:
    prepare_report("t", cohort, using=engine.reporting, now=now, note_listed=ignore, note_trend=ignore)


def report(engine: Engine, cohort: str = "c-1", now: datetime = NOW) -> CohortReport | None:
    return cohort_report("t", cohort, using=engine.reporting, now=now)


def scores(engine: Engine, day: int, without: set[int]) -> list[float]:
    """Of each student who is in the trend, the mastery that a query tells."""
    found = []
    for number in {*range(40)} - without:
        try:
            told = query_mastery("t", f"s-{number}", stores=engine.mastery, now=NOW, on=day_date(day))
        except NotFound:
            continue
        found.append(told.score)
    return found


def assert_as_queries(engine: Engine, found: Trend, without: set[int]) -> None:
    """Means of six decimals; those of a week's students alone."""
    expected = [scores(engine, day, without) for day in DAYS]
    assert [each.students for each in found.weeks] == [len(each) for each in expected]
    assert [each.mean for each in found.weeks] == [
        pytest.approx(fmean(each), abs=1.1e-6) if len(each) >= 5 else None for each in expected
    ]


def test_as_queries_of_each_day_say(engine: Engine) -> None:
    """The mean of the present students who allow it: not of those who left, nor before their first evidence."""
    noted: list[int] = []
    found = trend(engine, noted.append)
    assert_as_queries(engine, found, {1, 2, 3, 5, 6})
    assert found.weeks[0].students < found.weeks[-1].students == 35  # some began late
    assert (noted, found.sampled, found.day) == ([35], False, TODAY)
    assert [each.date for each in found.weeks] == [day_date(day) for day in DAYS]


def test_it_is_computed_once(engine: Engine) -> None:
    """A second call finds it, for the same day."""
    first, noted = trend(engine), list[int]()
    merge(engine, observation(99_000, TODAY, QUIZ, 0, 90), student="s-0")
    assert (trend(engine, noted.append), noted) == (first, [])
    ttl = engine.redis.ttl(f"{engine.settings.key_prefix}:{TREND}")
    assert 0 < ttl <= engine.settings.forecast_cache_seconds
    assert trend(engine, noted.append, NOW + timedelta(days=1)).day == TODAY + 1
    assert noted == [35]


def test_a_withdrawal_and_a_return(engine: Engine) -> None:
    """After each, it is computed anew, without the student and with."""
    before = trend(engine)
    decide(engine, "s-0", given=False)
    without = trend(engine)
    assert_as_queries(engine, without, {0, 1, 2, 3, 5, 6})
    decide(engine, "s-0", given=True)
    assert trend(engine).weeks == before.weeks != without.weeks


def test_other_decisions_and_tenants(engine: Engine) -> None:
    """They change nothing."""
    before, fail = trend(engine), lambda _number: pytest.fail("computed again")
    decide(engine, "s-0", given=False, purpose=Purpose.PREDICTIONS)
    change_consent("u", "s-0", {Purpose.COHORT_STATISTICS: False}, Author("student", "x"), consents=engine.consents, now=NOW)
    assert trend(engine, fail) == before
    using = engine.reporting.trending
    assert {each.students for each in cohort_trend("u", "c-1", using=using, now=NOW, note=ignore).weeks} == {0}


def test_a_decision_while_it_is_computed(engine: Engine) -> None:
    """Makes it outdated: the next call computes it anew."""
    trend(engine, lambda _number: decide(engine, "s-0", given=False))
    assert_as_queries(engine, trend(engine), {0, 1, 2, 3, 5, 6})


def test_who_has_just_left(engine: Engine) -> None:
    """Is not in it, also while the ranking still has the student."""
    engine.mastery.facts.merge("t", {"s-0": [observation(91_000, TODAY, QUIZ, 1, 10, "c-2", 2**52)]}, TODAY)
    assert "s-0" in engine.mastery.scores.members("t", "c-1")
    assert_as_queries(engine, trend(engine), {0, 1, 2, 3, 5, 6})


def test_a_sample_of_a_large_cohort(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many students, and it says so; of a cohort of exactly so many, it is of all."""
    for most, is_sample in ((34, True), (35, False)):
        monkeypatch.setattr(module, "MOST_STUDENTS", most)
        engine.redis.delete(f"{engine.settings.key_prefix}:{TREND}")
        found = trend(engine)
        assert (found.weeks[-1].students, found.sampled) == (most, is_sample)


def test_damaged_data(engine: Engine) -> None:
    """A damaged record counts as none; a damaged trend is computed anew."""
    engine.redis.hset(engine.mastery.facts.record_key("t", "s-4"), str(TODAY), "damaged")
    assert_as_queries(engine, trend(engine), {1, 2, 3, 4, 5, 6})
    for damaged in ("{", "[" * 100_000, "{}"):
        engine.redis.set(f"{engine.settings.key_prefix}:{TREND}", damaged)
        assert trend(engine).weeks[-1].students == 34


def test_a_stampede_computes_once(engine: Engine) -> None:
    """The others wait, and find it."""
    noted: list[int] = []

    def note(students: int) -> None:
        noted.append(students)
        time.sleep(0.2)  # so that the others come meanwhile

    with ThreadPoolExecutor(10) as callers:
        found = list(callers.map(lambda _: trend(engine, note), range(20)))
    assert (noted, all(each == found[0] for each in found)) == ([35], True)
    assert not any(key.startswith("{t}:cohort-trend-claim") for key in keys(engine))
    engine.trends.claim("t", "c-1").take()
    assert 0 < engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:cohort-trend-claim:c-1") <= CLAIM_SECONDS


@pytest.mark.parametrize("missing", [TREND, "{t}:at-risk-list:c-1"])
def test_what_has_to_be_computed(engine: Engine, missing: str) -> None:
    """There is no report without a trend or a list; one call makes both, or what is missing."""
    assert report(engine) is None
    prepare(engine)
    assert report(engine) is not None
    engine.redis.delete(f"{engine.settings.key_prefix}:{missing}")
    assert report(engine) is None
    prepare(engine)
    assert report(engine) is not None
    assert report(engine, now=NOW + timedelta(days=1)) is None


def test_a_report(engine: Engine) -> None:
    """Distribution, levels and histogram are of the present scores; the first of the list are shown, as it is."""
    prepare(engine)
    found = report(engine)
    assert found is not None
    present = scores(engine, TODAY, {1, 2, 3, 5, 6})
    assert found.statistics is not None
    assert (found.students, found.statistics.students) == (35, 35)
    assert found.statistics.mean == pytest.approx(fmean(present), abs=1e-6)
    assert found.statistics.mean == pytest.approx(found.trend.weeks[-1].mean, abs=1.1e-6)
    assert found.levels is not None
    assert found.histogram is not None
    assert sum(found.levels.values()) == sum(each.students for each in found.histogram) == 35
    assert [each.students for each in found.histogram] == [sum(int(score * 10) == at for score in present) for at in range(10)]
    assert (len(found.at_risk.students), found.at_risk.total) == (HELPED_FIRST, 37)  # of all who allow predictions
    assert (found.day, found.note) == (TODAY, None)


def test_few_students(engine: Engine) -> None:
    """There are no statistics of four students; who needs help first is none."""
    prepare(engine, "c-2")
    few = report(engine, "c-2")
    assert few is not None
    assert (few.students, few.statistics, few.levels, few.histogram, few.note) == (3, None, None, None, TOO_FEW)
    assert {each.mean for each in few.trend.weeks} == {None}
    assert sorted(each.student_id for each in few.at_risk.students) == ["s-1", "s-2", "s-3"]


def test_nobody_allows(engine: Engine) -> None:
    """Without predictions the list is empty; without statistics there are none."""
    for purpose in (Purpose.PREDICTIONS, Purpose.COHORT_STATISTICS):
        for number in (1, 2, 3):
            decide(engine, f"s-{number}", given=False, purpose=purpose)
    prepare(engine, "c-2")
    nobody = report(engine, "c-2")
    assert nobody is not None
    assert (nobody.students, nobody.at_risk.students, nobody.note) == (0, [], TOO_FEW)


@pytest.mark.parametrize("ask", [report, prepare])
def test_an_unknown_cohort(engine: Engine, ask: Callable[..., object]) -> None:
    """It has nobody."""
    with pytest.raises(NotFound, match="no students with evidence in this cohort"):
        ask(engine, "c-3")


def test_scores_of_an_earlier_day(engine: Engine) -> None:
    """Until the refresh after midnight has ended, the report says so."""
    later = NOW + timedelta(days=1)
    prepare(engine, now=later)
    found = report(engine, now=later)
    assert found is not None
    assert (found.day, found.note) == (
        TODAY,
        "The refresh after midnight has not ended: scores may still be of 2026-10-28.",
    )
