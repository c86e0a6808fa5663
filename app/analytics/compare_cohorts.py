"""Compares two cohorts by the values of all their students who allow ``cohort_statistics``."""

from collections.abc import Mapping
from datetime import datetime

from app.analytics.cohort_comparison import CohortComparison, CohortValues, cohort_comparison
from app.analytics.compare_student import TOO_FEW
from app.clock import day_number
from app.consent.consent import FEWEST_IN_STATISTICS
from app.errors import InvalidFields, InvalidInput, NotFound
from app.mastery.rankings import Metric
from app.mastery.stores import MasteryStores
from app.predictions.at_risk import NOBODY


def require_comparable(tenant: str, cohort_a: str, cohort_b: str, *, stores: MasteryStores) -> None:
    """Check in one round trip that the cohorts have enough students, before a task reads their values.

    Raises NotFound and InvalidInput as ``compare_cohorts`` does.
    """
    a, b = stores.rankings.summaries(tenant, [cohort_a, cohort_b])
    _require_enough(tenant, {cohort_a: ("cohort_a", a.students), cohort_b: ("cohort_b", b.students)}, stores)


def compare_cohorts(tenant: str, cohort_a: str, cohort_b: str, *, stores: MasteryStores, now: datetime) -> CohortComparison:
    """Compare two cohorts as they are now. Each ranking is of one moment; that of another metric may be of a later one.

    Raises NotFound if no student of a cohort has evidence, InvalidInput if fewer than five of them allow statistics.

    Returns:
        The comparison, which has no students.
    """
    today = day_number(now)
    day = stores.rankings.day(tenant)  # before the values, which are then of this day or later
    a, b = (
        CohortValues(cohort, {metric: stores.rankings.values(tenant, cohort, metric) for metric in Metric})
        for cohort in (cohort_a, cohort_b)
    )
    counts = {each.cohort_id: (field, len(each.values[Metric.MASTERY])) for field, each in (("cohort_a", a), ("cohort_b", b))}
    _require_enough(tenant, counts, stores)
    return cohort_comparison(a, b, today if day is None else day, today=today)


def _require_enough(tenant: str, students: Mapping[str, tuple[str, int]], stores: MasteryStores) -> None:
    """Check the numbers of students, by cohort with the name of its field.

    Raises:
        NotFound: No student of a cohort has evidence.
        InvalidFields: A cohort has too few.
    """
    too_few = {cohort: field for cohort, (field, number) in students.items() if number < FEWEST_IN_STATISTICS}
    if not too_few:
        return
    known = stores.scores.cohorts(tenant)
    if unknown := [field for cohort, field in too_few.items() if cohort not in known]:
        raise NotFound(f"{NOBODY}: {', '.join(unknown)}")
    raise InvalidFields(*(InvalidInput(field, TOO_FEW) for field in too_few.values()))
