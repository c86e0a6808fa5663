"""The cohorts of a tenant, with the mean and the levels of each."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from app.analytics.distribution import mean
from app.analytics.frequencies import LEVEL_EDGES, levels
from app.clock import Day
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.formula import Level
from app.mastery.rankings import Metric
from app.mastery.stores import MasteryStores


class CohortSummary(Struct, frozen=True):
    """A cohort, as its scores are now.

    Attributes:
        cohort_id: which.
        students: who have evidence and allow ``cohort_statistics``.
        mean: of their mastery, 0..1; None of fewer than five.
        levels: how many of them are in each level; None of fewer than five.
    """

    cohort_id: str
    students: int
    mean: float | None
    levels: dict[Level, int] | None


class CohortPage(NamedTuple):
    """A page of cohorts; the oldest day of the tenant's scores, None without any; after which cohort the next page begins."""

    cohorts: list[CohortSummary]
    day: Day | None
    following: str | None


def cohort_list(
    tenant: str, *, stores: MasteryStores, is_visible: Callable[[str], bool], limit: int, after: str = ""
) -> CohortPage:
    """The visible cohorts that have students, by name; those after the cohort ``after``.

    Returns:
        A page of them.
    """
    visible = [cohort for cohort in stores.scores.cohorts(tenant) if cohort > after and is_visible(cohort)]
    shown = visible[:limit]
    rankings = stores.rankings.summaries(tenant, shown)
    below = stores.rankings.counts(tenant, shown, Metric.MASTERY, LEVEL_EDGES)
    found: list[CohortSummary] = []
    for cohort, ranking, counts in zip(shown, rankings, below, strict=True):
        if min(ranking.students, counts[-1]) < FEWEST_IN_STATISTICS:
            found.append(CohortSummary(cohort, ranking.students, None, None))
        else:
            found.append(CohortSummary(cohort, ranking.students, mean(ranking.total, ranking.students), levels(counts)))
    return CohortPage(found, stores.rankings.day(tenant), shown[-1] if len(visible) > limit else None)
