"""How the mean mastery of a cohort's students went from week to week: computed from their facts, and stored."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import numpy as np

from app.analytics.trend_store import Trend, TrendStore
from app.analytics.weekly_means import ends_of_weeks, no_sums, weekly_sums, weeks_of
from app.clock import Day, day_number, microseconds
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts
from app.predictions.cohort_history import STUDENTS_PER_READ, FactSources
from app.purposes import Purpose
from app.storage.scripts import slices

# Of a larger cohort, so many drawn at random: bounds a task to a few seconds. The standard error of their mean is at
# most 0.005.
MOST_STUDENTS = 10_000

NoteStudents = Callable[[int], None]


class Trending(NamedTuple):
    """What trends are made with: where facts are read, and where trends go."""

    sources: FactSources
    trends: TrendStore


def stored_trend(tenant: str, cohort: str, *, using: Trending, now: datetime) -> Trend | None:
    """The stored trend, if it is of today and nobody in the tenant has decided about ``cohort_statistics`` since."""
    found = using.trends.read(tenant, cohort)
    if found is None or (found.day, found.basis) != (day_number(now), using.sources.consents.statistics_basis(tenant)):
        return None
    return found


def cohort_trend(tenant: str, cohort: str, *, using: Trending, now: datetime, note: NoteStudents) -> Trend:
    """The cohort's trend of today: the stored one, or a new one, which is stored.

    It is of the present students who allow ``cohort_statistics``. ``note`` is told how many students' facts are in it,
    before it is stored. Of several callers at the same time one computes; the others wait for its trend, else compute too.

    Returns:
        The trend.
    """
    if found := stored_trend(tenant, cohort, using=using, now=now):
        return found
    with using.trends.claim(tenant, cohort):
        return stored_trend(tenant, cohort, using=using, now=now) or _computed(tenant, cohort, using, now, note)


def _computed(tenant: str, cohort: str, using: Trending, now: datetime, note: NoteStudents) -> Trend:
    today, retention_days = day_number(now), using.sources.mastery.facts.retention_days
    basis = using.sources.consents.statistics_basis(tenant)  # before the decisions
    days = ends_of_weeks(today)
    facts = _facts(tenant, cohort, using.sources, today)
    sums, students = no_sums(days), 0
    for some in slices(islice(facts, MOST_STUDENTS), STUDENTS_PER_READ):
        sums, students = sums.plus(weekly_sums(some, days, today, retention_days)), students + len(some)
    is_sample = next(facts, None) is not None
    note(students)
    trend = Trend(today, basis, microseconds(now), is_sample, weeks_of(days, sums))
    using.trends.put(tenant, cohort, trend)
    return trend


def _facts(tenant: str, cohort: str, sources: FactSources, today: Day) -> Iterator[dict[Day, DayFacts]]:
    """The facts of those who allow statistics, and are in the cohort now; a damaged record counts as none.

    Yields:
        In random order, which is the same all day long: the first ones are a sample.
    """
    members = sorted(sources.mastery.scores.members(tenant, cohort))
    drawn = (members[at] for at in np.random.default_rng(today).permutation(len(members)).tolist())
    for some in slices(drawn, STUDENTS_PER_READ):
        allowed = sources.consents.allowing(tenant, some, Purpose.COHORT_STATISTICS)
        records = sources.mastery.facts.read_many(tenant, [each for each in some if each in allowed], today, today)
        yield from (each.days for each in records if isinstance(each, StudentRecord) and each.cohort_id == cohort)
