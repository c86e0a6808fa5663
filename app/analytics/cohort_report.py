"""A cohort on one page: the distribution of mastery, how its mean went from week to week, and who needs help first."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from app.analytics.cohort_trend import NoteStudents, Trending, cohort_trend, stored_trend
from app.analytics.comparison import EARLIER_SCORES
from app.analytics.distribution import Distribution, distribution
from app.analytics.frequencies import BIN_EDGES, LEVEL_EDGES, Bin, histogram, levels
from app.analytics.trend_store import Trend
from app.clock import Day, day_date, day_number
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.formula import Level
from app.mastery.rankings import Metric
from app.predictions.at_risk import RiskListing, students_at_risk
from app.predictions.at_risk_page import Page, Selection, at_risk_page

HELPED_FIRST = 10  # students of the list of those at risk: its own route has the others
TOO_FEW = f"Fewer than {FEWEST_IN_STATISTICS} students of this cohort allow statistics and have evidence."


class Reporting(NamedTuple):
    """What reports are made with: for the list of students at risk, and for the trend."""

    listing: RiskListing
    trending: Trending


class CohortReport(NamedTuple):
    """A cohort, as it is now.

    Attributes:
        day: the oldest day of the tenant's scores: today, once the refresh after midnight has ended.
        students: who have evidence and allow ``cohort_statistics``.
        statistics: of their mastery; None of fewer than five, and so are the next two.
        levels: how many of them are in each level.
        histogram: how many of them are in each bin.
        trend: of the last weeks.
        at_risk: the first page of the list of students at risk.
        note: what to know about it; None if there is nothing.
    """

    day: Day
    students: int
    statistics: Distribution | None
    levels: dict[Level, int] | None
    histogram: list[Bin] | None
    trend: Trend
    at_risk: Page
    note: str | None


def cohort_report(tenant: str, cohort: str, *, using: Reporting, now: datetime) -> CohortReport | None:
    """Read what is known of a cohort.

    Raises NotFound if no student of the cohort has evidence.

    Returns:
        The report; None if the trend or the list of students at risk has to be computed first.
    """
    page = at_risk_page(tenant, cohort, Selection(HELPED_FIRST), using=using.listing, now=now)
    trend = stored_trend(tenant, cohort, using=using.trending, now=now)
    if page is None or trend is None:
        return None
    rankings, today = using.listing.sources.mastery.rankings, day_number(now)
    oldest, by_metric = rankings.read(tenant, cohort, [Metric.MASTERY])
    ranking = by_metric[Metric.MASTERY]
    ((*below,),) = rankings.counts(tenant, [cohort], Metric.MASTERY, [*LEVEL_EDGES, *BIN_EDGES])
    found = distribution(ranking)
    day = oldest or today  # without any score: all have just left
    notes = [
        None if found else TOO_FEW,
        EARLIER_SCORES.format(day_date(day).isoformat()) if day < today else None,
    ]
    return CohortReport(
        day,
        ranking.students,
        found,
        levels(below[: len(LEVEL_EDGES)]) if found else None,
        histogram(below[len(LEVEL_EDGES) :]) if found else None,
        trend,
        page,
        " ".join(filter(None, notes)) or None,
    )


def prepare_report(
    tenant: str,
    cohort: str,
    *,
    using: Reporting,
    now: datetime,
    note_listed: Callable[[Sequence[str]], None],
    note_trend: NoteStudents,
) -> Trend:
    """Compute and store what a report reads, as far as it is not stored: the list of students at risk, and the trend.

    Raises NotFound if no student of the cohort has evidence. The notes are those of ``students_at_risk`` and ``cohort_trend``.

    Returns:
        The trend.
    """
    students_at_risk(tenant, cohort, using=using.listing, now=now, note=note_listed)
    return cohort_trend(tenant, cohort, using=using.trending, now=now, note=note_trend)
