"""Comparisons equal a brute-force computation over queries of every student, whatever happened before."""

import statistics
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from app.analytics.compare_student import compare_live, student_to_compare
from app.analytics.comparison import Extent, MetricComparison
from app.analytics.distribution import PERCENTILE_DECIMALS, Distribution
from app.bootstrap import Engine
from app.clock import day_number, microseconds
from app.consent.change_consent import change_consent
from app.consent.consent import FEWEST_IN_STATISTICS, Author
from app.errors import ConsentWithdrawn, InvalidInput, NotFound
from app.events.record_events import Evidence, record_evidence
from app.mastery.derive_scores import refresh_scores
from app.mastery.evidence import ACTIVITY, COMPLETION, MILLIONTHS, QUALITY, QUIZ
from app.mastery.query_mastery import Standing, query_mastery
from app.mastery.rankings import Metric
from app.purposes import Purpose
from tests.conftest import NOW

STUDENTS = tuple(f"s-{number}" for number in range(10))
COHORTS = ("c-1", "c-2")


class Event(NamedTuple):
    """Evidence of a student: the amounts are small, so that students have equal scores."""

    student: str
    kind: int
    first: int
    second: int
    age: int
    cohort: str


class Consent(NamedTuple):
    student: str
    given: bool


class Erasure(NamedTuple):
    student: str


class Days(NamedTuple):
    """So many days pass, and the refresh after midnight runs."""

    number: int


Step = Event | Consent | Erasure | Days

_students = st.sampled_from(STUDENTS)
_amounts = st.integers(1, 4).flatmap(lambda second: st.tuples(st.integers(0, second), st.just(second)))
_qualities = st.tuples(st.sampled_from([0, 1, 333_333, 500_000, 733_334, 1_000_000]), st.just(1))


def _event(kind: int, amounts: st.SearchStrategy[tuple[int, int]]) -> st.SearchStrategy[Event]:
    ages = st.sampled_from([0, 0, 1, 5, 13, 40, 89])
    # Most students are in the first cohort, so that it has enough of them.
    cohorts = st.sampled_from([COHORTS[0], COHORTS[0], COHORTS[1], ""])
    return st.builds(
        lambda student, both, age, cohort: Event(student, kind, both[0], both[1], age, cohort),
        _students,
        amounts,
        ages,
        cohorts,
    )


events = st.one_of(
    _event(COMPLETION, _amounts), _event(QUIZ, _amounts), _event(QUALITY, _qualities), _event(ACTIVITY, st.just((0, 0)))
)
steps = st.lists(
    events
    | events
    | st.builds(Consent, _students, st.booleans())
    | st.builds(Erasure, _students)
    | st.builds(Days, st.sampled_from([1, 1, 10, 77])),
    min_size=5,
    max_size=40,
)


class School:
    """A tenant whose days pass."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tenant = uuid4().hex
        self.now = NOW
        self._numbers = count(1)

    def begin(self, student: str, number: int, cohort: str) -> None:
        """Evidence of three or four kinds, with few different amounts."""
        for kind in (kind for kind in (COMPLETION, QUIZ, QUALITY, ACTIVITY) if (number + kind) % 5):
            amounts = (number % 4, 4) if kind in {COMPLETION, QUIZ} else (number % 4 * 111_111, 1)
            self.record(Event(student, kind, *amounts, age=0, cohort=cohort))

    def do(self, step: Step) -> None:
        match step:
            case Event():
                self.record(step)
            case Consent(student, given):
                decided, by = {Purpose.COHORT_STATISTICS: given}, Author("student", "x")
                change_consent(self.tenant, student, decided, by, consents=self.engine.consents, now=self.now)
            case Erasure(student):
                self.engine.mastery.facts.erase(self.tenant, {student: microseconds(self.now)})
            case Days(number):
                self.now += timedelta(days=number)
                self.check_the_day()
                self.refresh()
        self.now += timedelta(seconds=1)  # evidence after an erasure counts

    def record(self, event: Event) -> None:
        number = next(self._numbers)
        moment = self.now - timedelta(days=event.age)
        stamp = microseconds(moment)
        day, unique = day_number(moment), number.to_bytes(16)
        observation = (unique[-8:], day, event.kind, event.first, event.second, stamp, unique, event.cohort)
        evidence = Evidence(self.tenant, event.student, observation)
        record_evidence([evidence], stores=self.engine.mastery, now=self.now)

    def check_the_day(self) -> None:
        """Before the refresh, the day of the scores is not today, unless there are none."""
        day = self.engine.mastery.rankings.day(self.tenant)
        assert day is None or day < day_number(self.now)

    def refresh(self) -> None:
        for _ in refresh_scores(stores=self.engine.mastery, consents=self.engine.consents, now=self.now, batch=3):
            pass

    def standings(self) -> dict[str, Standing]:
        """What a query says of each student who has evidence."""
        found = {}
        for student in STUDENTS:
            try:
                found[student] = query_mastery(self.tenant, student, stores=self.engine.mastery, now=self.now)
            except NotFound:
                continue
        return found

    def allows(self, student: str) -> bool:
        return self.engine.consents.read(self.tenant, student).allows(Purpose.COHORT_STATISTICS)


def values_of(standing: Standing) -> dict[Metric, int]:
    """In millionths; without those that have no evidence."""
    scores = {Metric.MASTERY: standing.score, **{Metric(name): score for name, score in standing.components.items()}}
    return {metric: round(score * MILLIONTHS) for metric, score in scores.items() if score is not None}


def expected(value: int | None, values: list[int]) -> MetricComparison:
    """By the libraries, from all values of a cohort."""
    score = None if value is None else value / MILLIONTHS
    if len(values) < FEWEST_IN_STATISTICS:
        return MetricComparison(score, None, None, None, None)
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    numbers = (statistics.mean(values), median, lower, upper, statistics.pstdev(values))
    distribution = Distribution(len(values), *(round(number) / MILLIONTHS for number in numbers))
    if value is None:
        return MetricComparison(None, distribution, None, None, None)
    percentile = round(float(percentileofscore(values, value, kind="mean")), PERCENTILE_DECIMALS)
    return MetricComparison(score, distribution, percentile, 1 + sum(each > value for each in values), len(values))


def check(school: School) -> None:
    """Compare every student with every cohort."""
    standings = school.standings()
    for student in STUDENTS:
        if student not in standings:
            with pytest.raises(NotFound):
                read(school, student)
        elif not school.allows(student):
            with pytest.raises(ConsentWithdrawn):
                read(school, student)
        else:
            for cohort in COHORTS:
                check_comparison(school, student, cohort, standings)


def read(school: School, student: str) -> None:
    student_to_compare(school.tenant, student, stores=school.engine.mastery, consents=school.engine.consents, now=school.now)


def check_comparison(school: School, student: str, cohort: str, standings: Mapping[str, Standing]) -> None:
    stores, consents = school.engine.mastery, school.engine.consents
    compared = student_to_compare(school.tenant, student, stores=stores, consents=consents, now=school.now)
    members = [each for each, standing in standings.items() if standing.cohort_id == cohort]
    counted = [values_of(standings[each]) for each in members if school.allows(each)]
    if len(counted) < FEWEST_IN_STATISTICS:
        with pytest.raises(InvalidInput if members else NotFound):
            compare_live(school.tenant, compared, cohort, Extent.OVERALL, stores=stores, now=school.now)
        return
    found = compare_live(school.tenant, compared, cohort, Extent.BY_COMPONENT, stores=stores, now=school.now)
    own = values_of(standings[student])
    assert found.metrics == {
        metric: expected(own.get(metric), sorted(values[metric] for values in counted if metric in values)) for metric in Metric
    }
    assert (found.is_member, found.date) == (student in members, school.now.date())


@settings(
    max_examples=100,
    deadline=None,  # a real server's time varies
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the store is shared, the tenants are not
)
@given(steps)
def test_comparisons_are_those_of_a_brute_force_computation(engine: Engine, steps: list[Step]) -> None:
    """Of members and of others, after events in any order, moves, erasures, decisions, and days with their refresh."""
    school = School(engine)
    for number, student in enumerate(STUDENTS):
        school.begin(student, number, {8: "c-2", 9: ""}.get(number, "c-1"))
    for step in steps:
        school.do(step)
    check(school)
