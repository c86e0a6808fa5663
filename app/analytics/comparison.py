"""What a student's comparison with a cohort says. Pure."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from app.analytics.distribution import Distribution, distribution, place
from app.clock import Day, day_date
from app.consent.consent import FEWEST_IN_STATISTICS
from app.errors import NotFound
from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import DECIMALS
from app.mastery.rankings import Metric, Ranking

NO_COHORT = "the events of this student name no cohort"
IN_NO_COHORT = "The events of this student name no cohort: the scores are compared from outside."
IN_ANOTHER_COHORT = "The student is not in this cohort: the scores are compared from outside."
EARLIER_SCORES = "The refresh after midnight has not ended: scores may still be of {}."
PUBLISHED_ON = "The student's present scores are compared with those that were published on {}."
NOT_PUBLISHED_OF = "No statistics are published of: {}."
TOO_FEW_WITH_EVIDENCE = f"Fewer than {FEWEST_IN_STATISTICS} students of this cohort can be compared in: {{}}."

# Of numbers that students see: an exact mean is a sum, from which somebody who knows the others subtracts them.
PUBLISHED_DECIMALS = 3


class Extent(StrEnum):
    """What is compared: mastery alone, or its components too."""

    OVERALL = "overall"
    BY_COMPONENT = "by_component"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that are compared."""
        return (Metric.MASTERY,) if self is Extent.OVERALL else tuple(Metric)


class ComparedStudent(NamedTuple):
    """A student to compare, as the facts are now.

    Attributes:
        student_id: who.
        cohort_id: the student's cohort; None if the events name none.
        values: mastery and the components in millionths; None without evidence.
    """

    student_id: str
    cohort_id: str | None
    values: Mapping[Metric, int | None]

    def cohort_to_compare(self, wanted: str | None) -> str:
        """The wanted cohort, by default the student's own. Raises NotFound without either."""
        cohort = self.cohort_id if wanted is None else wanted
        if cohort is None:
            raise NotFound(NO_COHORT)
        return cohort


class MetricComparison(Struct, frozen=True):
    """A student and a cohort, by one metric.

    Attributes:
        score: the student's, 0..1; None without evidence.
        statistics: of the cohort; None if fewer than five can be compared, or if none are published.
        percentile: the place of the score, 0..100, 100 is best; None without a score or statistics.
        rank: 1 is best; students with equal scores share the better rank.
        total: students with whom the score is compared; None without a place.
    """

    score: float | None
    statistics: Distribution | None
    percentile: float | None
    rank: int | None
    total: int | None


class Comparison(Struct, frozen=True, kw_only=True):
    """How a student compares with a cohort.

    Attributes:
        student_id: who.
        student_cohort_id: the student's cohort; None if the events name none.
        cohort_id: the cohort of the statistics.
        is_member: whether these are the same.
        date: the day of the cohort's scores; if it has not ended, they are of now.
        published: whether the statistics are those that were published on that day, rounded.
        metrics: what is compared.
        note: what to know about it, always if ``published``; None if there is nothing.
    """

    student_id: str
    student_cohort_id: str | None
    cohort_id: str
    is_member: bool
    date: date
    published: bool
    metrics: dict[Metric, MetricComparison]
    note: str | None


def comparison(
    student: ComparedStudent, cohort: str, rankings: Mapping[Metric, Ranking], day: Day, *, today: Day, published: bool
) -> Comparison:
    """Compare a student with the rankings of a cohort, which are of ``day`` or later.

    Returns:
        The comparison. If the rankings are those ``published`` for students, the statistics are rounded.
    """
    decimals = PUBLISHED_DECIMALS if published else DECIMALS
    metrics = {metric: _of_metric(ranking, decimals) for metric, ranking in rankings.items()}
    missing = [metric for metric, compared in metrics.items() if compared.statistics is None]
    without, dated = (NOT_PUBLISHED_OF, PUBLISHED_ON) if published else (TOO_FEW_WITH_EVIDENCE, EARLIER_SCORES)
    notes = [
        IN_NO_COHORT if student.cohort_id is None else IN_ANOTHER_COHORT if student.cohort_id != cohort else None,
        without.format(", ".join(missing)) if missing else None,
        dated.format(day_date(day).isoformat()) if published or day < today else None,
    ]
    return Comparison(
        student_id=student.student_id,
        student_cohort_id=student.cohort_id,
        cohort_id=cohort,
        is_member=student.cohort_id == cohort,
        date=day_date(day),
        published=published,
        metrics=metrics,
        note=" ".join(filter(None, notes)) or None,
    )


def _of_metric(ranking: Ranking, decimals: int) -> MetricComparison:
    percentile, rank, total = place(ranking) or (None, None, None)
    score = None if ranking.value is None else ranking.value / MILLIONTHS
    return MetricComparison(score, distribution(ranking, decimals), percentile, rank, total)
