"""Tasks that compare students and cohorts."""

from collections import Counter
from collections.abc import Iterator

from app.analytics.publish_statistics import publish_statistics
from app.clock import day_number
from tasks.audit import note_published
from tasks.celery import app, engine, enqueue
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS


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
