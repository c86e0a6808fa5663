"""Overviews: the distribution of a cohort's students over the levels, and the students most in need of help."""

from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from app.errors import NotFound
from app.mastery.formula import Level, classify
from app.mastery.query_mastery import Standing, query_mastery
from app.mastery.stores import MasteryStores


class CohortLevels(NamedTuple):
    """The number of a cohort's students per level, and their mean mastery (0 for an empty cohort)."""

    tenant_id: str
    cohort_id: str
    students: int
    mean: float
    levels: Counter[Level]


def cohort_levels(tenant: str, cohort: str, *, stores: MasteryStores) -> CohortLevels:
    """The distribution of a cohort over the levels."""
    scores = [score for _student, score in stores.scores.ranking(tenant, cohort)]
    mean = sum(scores) / len(scores) if scores else 0.0
    return CohortLevels(tenant, cohort, len(scores), mean, Counter(classify(score) for score in scores))


def most_in_need(*, stores: MasteryStores, now: datetime, count: int) -> list[tuple[str, Standing]]:
    """The (tenant, standing) of the students with the lowest mastery, lowest first. For operators: spans all tenants."""
    lowest = [
        (score, tenant, student)
        for tenant in stores.tenants.all()
        for cohort in stores.scores.cohorts(tenant)
        for student, score in stores.scores.ranking(tenant, cohort, lowest=count)
    ]
    found = []
    for _score, tenant, student in sorted(lowest)[:count]:
        with suppress(NotFound):  # the last evidence expired, and the hourly refresh has not removed the student yet
            found.append((tenant, query_mastery(tenant, student, stores=stores, now=now)))
    return found
