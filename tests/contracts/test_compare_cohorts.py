"""A comparison of cohorts is that of the mastery of every student who allows it, on every server."""

import random
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats

from app.analytics.compare_cohorts import compare_cohorts, require_comparable
from app.analytics.compare_student import TOO_FEW
from app.analytics.two_samples import TwoSamples
from app.bootstrap import Engine
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.errors import InvalidInput, NotFound
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ
from app.mastery.query_mastery import query_mastery
from app.mastery.rankings import Metric
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, merge, observation

KINDS = (COMPLETION, QUIZ, QUALITY, ACTIVITY)


def enrol(engine: Engine, cohort: str, students: int, seed: int = 0) -> list[str]:
    """Students with evidence of some kinds, completion always; few values, so that there are ties."""
    rng, names = random.Random(f"{cohort}-{seed}"), [f"{cohort}-s-{number}" for number in range(students)]
    for name in names:
        events = []
        for number, kind in enumerate(KINDS):
            if kind == COMPLETION or rng.random() < 0.7:
                first, second = {QUALITY: (rng.choice([300_000, 800_000]), 1), ACTIVITY: (0, 0)}.get(
                    kind, (rng.randint(0, 5), 5)
                )
                events.append(observation(number, TODAY - rng.randint(0, 9), kind, first, second, cohort))
        events += [observation(10 + ago, TODAY - ago, ACTIVITY, cohort=cohort) for ago in range(rng.randint(0, 4))]
        merge(engine, *events, student=name)
    return names


def withdraw(engine: Engine, student: str) -> None:
    change_consent("t", student, {Purpose.COHORT_STATISTICS: False}, Author("student", "x"), consents=engine.consents, now=NOW)


def brute_force(engine: Engine, students: list[str], metric: Metric) -> list[float]:
    """What queries about the students answer."""
    standings = [query_mastery("t", student, stores=engine.mastery, now=NOW) for student in students]
    scores = [each.score if metric is Metric.MASTERY else each.components[metric] for each in standings]
    return [round(score, 6) for score in scores if score is not None]


def assert_compared(found: TwoSamples | None, x: list[float], y: list[float]) -> None:
    assert found is not None
    assert found.welch is not None
    assert (found.cohort_a.students, found.cohort_b.students) == (len(x), len(y))
    assert (found.cohort_a.mean, found.cohort_b.mean) == pytest.approx((np.mean(x), np.mean(y)), abs=1e-6)
    assert found.welch.p == pytest.approx(stats.ttest_ind(x, y, equal_var=False).pvalue, rel=1e-6)
    assert found.mann_whitney.p == pytest.approx(stats.mannwhitneyu(x, y).pvalue, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_every_student_who_allows_it(engine: Engine, seed: int) -> None:
    """By each metric, those with evidence in it. Who withdrew is in no number, who consented again is in all."""
    a, b = enrol(engine, "c-1", 14, seed), enrol(engine, "c-2", 11, seed)
    withdraw(engine, a.pop())
    withdraw(engine, b.pop())
    withdraw(engine, b[0])
    change_consent("t", b[0], {Purpose.COHORT_STATISTICS: True}, Author("x", "x"), consents=engine.consents, now=NOW)
    found = compare_cohorts("t", "c-1", "c-2", stores=engine.mastery, now=NOW)
    assert [(each.cohort_id, each.students) for each in (found.cohort_a, found.cohort_b)] == [("c-1", 13), ("c-2", 10)]
    for metric in Metric:
        assert_compared(found.metrics[metric], brute_force(engine, a, metric), brute_force(engine, b, metric))
    for cohort, students in ((found.cohort_a, a), (found.cohort_b, b)):
        levels = [query_mastery("t", student, stores=engine.mastery, now=NOW).level for student in students]
        assert {level: share.students for level, share in cohort.levels.items()} == {
            level: levels.count(level) for level in cohort.levels
        }


def test_moved_and_erased_students(engine: Engine) -> None:
    """Are in the statistics of their new cohort, or in none."""
    a, b = enrol(engine, "c-1", 8), enrol(engine, "c-2", 8)
    merge(engine, observation(99, TODAY, ACTIVITY, cohort="c-2"), student=a[0])
    engine.mastery.facts.erase("t", {b[0]: 2**60}, up_to_request=True)
    found = compare_cohorts("t", "c-1", "c-2", stores=engine.mastery, now=NOW).metrics[Metric.MASTERY]
    x, y = (brute_force(engine, students, Metric.MASTERY) for students in (a[1:], [a[0], *b[1:]]))
    assert_compared(found, x, y)


def test_the_day_of_the_scores(engine: Engine) -> None:
    """Until the refresh after midnight has run, it is that of the oldest score, and the summary says so."""
    enrol(engine, "c-1", 5)
    enrol(engine, "c-2", 5)
    today = compare_cohorts("t", "c-1", "c-2", stores=engine.mastery, now=NOW)
    tomorrow = compare_cohorts("t", "c-1", "c-2", stores=engine.mastery, now=NOW + timedelta(days=1))
    assert today.date == tomorrow.date == NOW.date()
    assert tomorrow.summary == [
        *today.summary,
        f"The refresh after midnight has not ended: scores may still be of {NOW.date().isoformat()}.",
    ]


def test_too_few_students(engine: Engine) -> None:
    """Four who allow it; both cohorts are named. The check before the task says the same."""
    a = enrol(engine, "c-1", 5)
    enrol(engine, "c-2", 4)
    for check in (compare_cohorts_now, require_comparable_now):
        with pytest.raises(InvalidInput) as refused:
            check(engine, "c-1", "c-2")
        assert [(each.field, each.reason) for each in refused.value.errors] == [("cohort_b", TOO_FEW)]
    withdraw(engine, a[0])
    for check in (compare_cohorts_now, require_comparable_now):
        with pytest.raises(InvalidInput) as refused:
            check(engine, "c-1", "c-2")
        assert [each.field for each in refused.value.errors] == ["cohort_a", "cohort_b"]


def test_cohorts_without_evidence(engine: Engine) -> None:
    """Are not found, also if the other one is small; one whose students all withdrew is known, and has too few."""
    students = enrol(engine, "c-1", 5)
    for check in (compare_cohorts_now, require_comparable_now):
        with pytest.raises(NotFound, match=r"^no students with evidence in this cohort: cohort_b$"):
            check(engine, "c-1", "c-9")
        with pytest.raises(NotFound, match=r"^no students with evidence in this cohort: cohort_a, cohort_b$"):
            check(engine, "c-8", "c-9")
    for student in students:
        withdraw(engine, student)
    enrol(engine, "c-2", 5)
    with pytest.raises(InvalidInput, match=r"^cohort_a: "):
        compare_cohorts_now(engine, "c-1", "c-2")


def compare_cohorts_now(engine: Engine, a: str, b: str) -> None:
    compare_cohorts("t", a, b, stores=engine.mastery, now=NOW)


def require_comparable_now(engine: Engine, a: str, b: str) -> None:
    require_comparable("t", a, b, stores=engine.mastery)


def test_other_tenants(engine: Engine) -> None:
    """Cohorts of the same name are not theirs."""
    enrol(engine, "c-1", 5)
    enrol(engine, "c-2", 5)
    with pytest.raises(NotFound):
        compare_cohorts("t-2", "c-1", "c-2", stores=engine.mastery, now=NOW)
