"""Explains why a student's mastery has changed."""

from collections.abc import Mapping
from datetime import date, datetime

from app.analytics.changes import Changes, explain
from app.clock import day_number
from app.mastery.query_mastery import retained_day
from app.mastery.stores import MasteryStores


def explain_changes(
    tenant: str,
    student_id: str,
    *,
    stores: MasteryStores,
    now: datetime,
    since: date,
    fields: Mapping[bytes, bytes] | None = None,
) -> Changes:
    """Why mastery today differs from that at the end of the day ``since``. ``fields`` is the record's hash, if already read.

    Raises NotFound without retained evidence, and InvalidInput for a day in the future or before the retention window.

    Returns:
        Both scores, and the parts of the difference. If there was no evidence up to ``since``, that score counts as 0.
    """
    today = day_number(now)
    earlier = retained_day(since, today, stores.facts.retention_days, "since")
    record = stores.facts.read(tenant, student_id, today, fields=fields)
    return explain(student_id, record.days, earlier, today)
