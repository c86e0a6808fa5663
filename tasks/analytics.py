"""Tasks that compare students and cohorts, and report on cohorts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from app.analytics.cohort_report import prepare_report
from app.analytics.compare_cohorts import compare_cohorts as compare
from app.analytics.publish_statistics import publish_statistics
from app.audit.entry import timestamp
from app.clock import day_number, moment_of
from app.errors import InvalidInput, NotFound
from app.security.access import Action
from tasks.audit import note_compared, note_listed, note_published, note_trend
from tasks.celery import app, engine, enqueue
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS


@app.task(
    name="analytics.cohort_trend",
    throws=(NotFound,),
    max_retries=3,  # a caller waits, so report the failure after some seconds
    soft_time_limit=TASK_SECONDS,
)
def prepare_cohort_report(tenant: str, cohort_id: str, signed_actor: Sequence[str] = ()) -> dict[str, Any]:
    """Compute and store the cohort's trend and list of students at risk, as far as there are none.

    The audit trail names the ``signed_actor``.

    Returns:
        About the trend. No students: an erasure would not find them in the result.
    """
    served = engine()
    actor = served.audit.actor_signer.verify([tenant, Action.READ_COHORT, cohort_id], signed_actor)
    trend = prepare_report(
        tenant,
        cohort_id,
        using=served.reporting,
        now=served.clock(),
        note_listed=partial(note_listed, tenant, cohort_id, actor, Action.READ_COHORT),
        note_trend=partial(note_trend, tenant, cohort_id, actor),
    )
    return {"cohort_id": cohort_id, "computed_at": timestamp(moment_of(trend.computed_at))}


@app.task(
    name="analytics.compare_cohorts",
    throws=(NotFound, InvalidInput),
    max_retries=3,  # as above
    soft_time_limit=TASK_SECONDS,
)
def compare_cohorts(tenant: str, cohort_a: str, cohort_b: str, signed_actor: Sequence[str] = ()) -> dict[str, Any]:
    """Compare two cohorts; the audit trail names the ``signed_actor``.

    Returns:
        The comparison. It has no students: an erasure would not find them in the result.

    Raises:
        InvalidInput: Fewer than five students of a cohort can be compared.
    """
    served = engine()
    actor = served.audit.actor_signer.verify([tenant, Action.COMPARE_COHORTS, cohort_a, cohort_b], signed_actor)
    try:
        compared = compare(tenant, cohort_a, cohort_b, stores=served.mastery, now=served.clock())
    except InvalidInput as error:
        raise InvalidInput(error.field, error.reason) from error  # the first one: Celery cannot store an error of errors
    note_compared(tenant, cohort_a, cohort_b, actor)
    return cast("dict[str, Any]", msgspec.to_builtins(compared))


@app.task(name="analytics.publish", ignore_result=True, soft_time_limit=TASK_SECONDS)
def publish() -> None:
    """Publish the statistics of cohorts for their students, in slices; beat sends this every hour."""
    read: Counter[str] = Counter()

    def work() -> Iterator[None]:
        of, today = engine(), day_number(engine().clock())
        for tenant in of.mastery.tenants.all():
            for students in publish_statistics(tenant, stores=of.mastery, published=of.published, today=today):
                read[tenant] += students
                yield

    try:
        is_finished = finish_in_slice(work())
    finally:
        for tenant, students in read.items():
            note_published(tenant, students)
    if not is_finished:
        enqueue(publish)
