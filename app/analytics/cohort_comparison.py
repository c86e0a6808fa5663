"""What a comparison of two cohorts says. Pure."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from msgspec import Struct

from app.analytics.comparison_summary import comparison_summary
from app.analytics.frequencies import LEVEL_EDGES, levels
from app.analytics.two_samples import TwoSamples, compare_samples
from app.clock import Day, day_date
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.formula import DECIMALS, Level
from app.mastery.rankings import COMPONENT_METRICS, Metric


class CohortValues(NamedTuple):
    """The values of a cohort's students by metric, in millionths, each lowest first."""

    cohort_id: str
    values: Mapping[Metric, Sequence[int]]


class LevelShare(Struct, frozen=True):
    """How many students have a level, and which share of the cohort that is."""

    students: int
    share: float


class ComparedCohort(Struct, frozen=True):
    """A cohort: how many of its students are compared, and their levels."""

    cohort_id: str
    students: int
    levels: dict[Level, LevelShare]


class CohortComparison(Struct, frozen=True):
    """How two cohorts compare.

    Attributes:
        cohort_a: the first one.
        cohort_b: the one it is compared with.
        date: the day of the scores; if it has not ended, they are of now.
        metrics: by mastery and each component; None if fewer than five students of a cohort have evidence in it.
        summary: what that means and what it does not mean, in sentences.
    """

    cohort_a: ComparedCohort
    cohort_b: ComparedCohort
    date: date
    metrics: dict[Metric, TwoSamples | None]
    summary: list[str]


def cohort_comparison(a: CohortValues, b: CohortValues, day: Day, *, today: Day) -> CohortComparison:
    """Compare two cohorts, of which at least five students each have mastery. The values are of ``day`` or later."""
    mastery = compare_samples(a.values[Metric.MASTERY], b.values[Metric.MASTERY])
    too_few = {metric: cohorts for metric in COMPONENT_METRICS if (cohorts := _with_too_few(metric, a, b))}
    components = {
        metric: compare_samples(a.values[metric], b.values[metric]) for metric in COMPONENT_METRICS if metric not in too_few
    }
    outdated = day_date(day) if day < today else None
    return CohortComparison(
        _compared(a),
        _compared(b),
        day_date(day),
        {Metric.MASTERY: mastery, **{metric: components.get(metric) for metric in COMPONENT_METRICS}},
        comparison_summary(a.cohort_id, b.cohort_id, mastery, list(components.values()), too_few, outdated),
    )


def level_shares(values: Sequence[int]) -> dict[Level, LevelShare]:
    """The levels of mastery in millionths, lowest first; they are sorted, so none needs to be classified alone."""
    counts = levels([bisect_left(values, edge) for edge in LEVEL_EDGES])
    return {level: LevelShare(count, round(count / len(values), DECIMALS)) for level, count in counts.items()}


def _with_too_few(metric: Metric, *cohorts: CohortValues) -> list[str]:
    return [each.cohort_id for each in cohorts if len(each.values[metric]) < FEWEST_IN_STATISTICS]


def _compared(cohort: CohortValues) -> ComparedCohort:
    mastery = cohort.values[Metric.MASTERY]
    return ComparedCohort(cohort.cohort_id, len(mastery), level_shares(mastery))
