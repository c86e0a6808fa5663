"""Overviews: the distribution of a cohort's students over the levels, and the students most in need of help.

Students who do not allow ``cohort_statistics`` are not in them.
"""

from collections import Counter
from contextlib import suppress
from datetime import datetime
from statistics import fmean
from typing import NamedTuple

from app.consent.consent import FEWEST_IN_STATISTICS
from app.consent.consent_store import ConsentStore
from app.errors import NotFound
from app.mastery.formula import Level, classify
from app.mastery.query_mastery import Standing, query_mastery
from app.mastery.stores import MasteryStores
from app.purposes import Purpose


class CohortLevels(NamedTuple):
    """The number of a cohort's consenting students per level, and their mean mastery."""

    tenant_id: str
    cohort_id: str
    students: int
    mean: float
    levels: Counter[Level]


def cohort_levels(tenant: str, cohort: str, *, stores: MasteryStores, consents: ConsentStore) -> CohortLevels | None:
    """The distribution of a cohort over the levels; None if fewer than ``FEWEST_IN_STATISTICS`` of its students consent."""
    scores = [score for _student, score in _consenting(tenant, cohort, stores=stores, consents=consents)]
    if len(scores) < FEWEST_IN_STATISTICS:
        return None
    return CohortLevels(tenant, cohort, len(scores), fmean(scores), Counter(map(classify, scores)))


def most_in_need(*, stores: MasteryStores, consents: ConsentStore, now: datetime, count: int) -> list[tuple[str, Standing]]:
    """The (tenant, standing) of the students with the lowest mastery, lowest first. For operators: spans all tenants."""
    lowest = [
        (score, tenant, student)
        for tenant in stores.tenants.all()
        for cohort in stores.scores.cohorts(tenant)
        for student, score in _consenting(tenant, cohort, stores=stores, consents=consents)[:count]
    ]
    found = []
    for _score, tenant, student in sorted(lowest)[:count]:
        with suppress(NotFound):  # the last evidence expired, and the hourly refresh has not removed the student yet
            found.append((tenant, query_mastery(tenant, student, stores=stores, now=now)))
    return found


def _consenting(tenant: str, cohort: str, *, stores: MasteryStores, consents: ConsentStore) -> list[tuple[str, float]]:
    """The cohort's students who may be in statistics, with their scores, lowest first."""
    ranking = stores.scores.ranking(tenant, cohort)
    allowed = consents.allowing(tenant, (student for student, _ in ranking), Purpose.COHORT_STATISTICS)
    return [(student, score) for student, score in ranking if student in allowed]
