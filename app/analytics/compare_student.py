"""Compares a student with a cohort in a few round trips. Live, it reads no more of a large cohort than of a small one.

Teachers of the cohort and admins, who may read every student, get what is true now. Students get statistics that were published
for all of their cohort, with the place of their present scores among them. See docs/decisions/0033.
"""

from collections.abc import Mapping
from datetime import datetime

from app.analytics.comparison import ComparedStudent, Comparison, Extent, comparison
from app.analytics.published_store import PublishedStore
from app.clock import day_number
from app.consent.consent import FEWEST_IN_STATISTICS
from app.consent.consent_store import ConsentStore
from app.consent.require_consent import require_consent
from app.errors import InvalidInput, NotFound
from app.mastery.components import window_components, window_on
from app.mastery.formula import mastery_score
from app.mastery.rankings import Metric, millionths
from app.mastery.stores import MasteryStores
from app.predictions.at_risk import NOBODY
from app.purposes import Purpose

TOO_FEW = f"fewer than {FEWEST_IN_STATISTICS} students of this cohort can be compared"
# The same in all cases: it does not tell students that somebody withdrew.
NOT_PUBLISHED = (
    "no statistics of this cohort are published at present; they are published once a day, "
    f"of at least {FEWEST_IN_STATISTICS} students"
)


def student_to_compare(
    tenant: str,
    student_id: str,
    *,
    stores: MasteryStores,
    consents: ConsentStore,
    now: datetime,
    fields: Mapping[bytes, bytes] | None = None,
) -> ComparedStudent:
    """Read a student as the facts are now. ``fields`` is the record's hash, if already read.

    Raises NotFound without facts, else ConsentWithdrawn, about ``cohort_statistics``.

    Returns:
        The student.
    """
    today = day_number(now)
    record = stores.facts.read(tenant, student_id, today, fields=fields)
    if not stores.rankings.has(record):
        require_consent(tenant, student_id, Purpose.COHORT_STATISTICS, consents=consents)
    components = window_components(window_on(record.days, today, stores.facts.retention_days))
    scores = (mastery_score(components), *components)
    values = {metric: None if score is None else millionths(score) for metric, score in zip(Metric, scores, strict=True)}
    return ComparedStudent(student_id, record.cohort_id, values)


def compare_live(
    tenant: str, student: ComparedStudent, cohort: str, extent: Extent, *, stores: MasteryStores, now: datetime
) -> Comparison:
    """Compare a student with a cohort as it is now.

    Returns:
        The comparison; of a member, the scores are those that the rankings have.

    Raises:
        NotFound: No student of the cohort has evidence.
        InvalidInput: Fewer than five of them allow statistics.
    """
    today = day_number(now)
    day, rankings = stores.rankings.read(tenant, cohort, extent.metrics, student.student_id, student.values)
    if rankings[Metric.MASTERY].students < FEWEST_IN_STATISTICS:
        if cohort not in stores.scores.cohorts(tenant):
            raise NotFound(NOBODY)
        raise InvalidInput("cohort_id", TOO_FEW)
    return comparison(student, cohort, rankings, today if day is None else day, today=today, published=False)


def compare_with_published(
    tenant: str, student: ComparedStudent, cohort: str, extent: Extent, *, published: PublishedStore, now: datetime
) -> Comparison:
    """Compare a student's present scores with the published ones of a cohort.

    Returns:
        The comparison, with rounded statistics.

    Raises:
        NotFound: Statistics of this cohort are not published.
    """
    found = published.read(tenant, cohort, {metric: student.values[metric] for metric in extent.metrics})
    if found is None:
        raise NotFound(NOT_PUBLISHED)
    return comparison(student, cohort, found.rankings, found.day, today=day_number(now), published=True)
