"""Reads how a student's mastery has changed."""

from collections.abc import Mapping
from datetime import date, datetime

from msgspec import Struct

from app.analytics.mastery_history import Aggregation, Point, Summary, known_days, points, summarize
from app.clock import Day, day_number
from app.errors import InvalidFields, InvalidInput, NotFound
from app.mastery.query_mastery import retained_day
from app.mastery.stores import MasteryStores

ONLY_LATER_EVIDENCE = "no evidence of this student up to end_date"


class MasteryHistory(Struct, frozen=True, kw_only=True):
    """A student's mastery from one day to another."""

    student_id: str
    cohort_id: str | None
    start_date: date
    end_date: date
    aggregation: Aggregation
    points: list[Point]
    summary: Summary


def read_history(
    tenant: str,
    student_id: str,
    *,
    stores: MasteryStores,
    now: datetime,
    start: date,
    end: date,
    aggregation: Aggregation,
    fields: Mapping[bytes, bytes] | None = None,
) -> MasteryHistory:
    """A student's mastery from the day ``start`` to the day ``end``. ``fields`` is the record's hash, if already read.

    Raises InvalidInput for days that are not retained or in the wrong order.

    Returns:
        The points and their summary. Since there is evidence up to ``end``, that day at least is known.

    Raises:
        NotFound: There is no evidence up to ``end``; the message says whether there is later evidence.
    """
    today = day_number(now)
    first, last = _range(start, end, today, stores.facts.retention_days)
    record = stores.facts.read(tenant, student_id, today, fields=fields)
    days = {day: facts for day, facts in record.days.items() if day <= last}
    if not days:
        raise NotFound(ONLY_LATER_EVIDENCE)
    known = list(known_days(days, last))
    return MasteryHistory(
        student_id=student_id,
        cohort_id=record.cohort_id,
        start_date=start,
        end_date=end,
        aggregation=aggregation,
        points=points([each for each in known if each.day >= first], aggregation),
        summary=summarize(known, first),
    )


def _range(start: date, end: date, today: Day, retention_days: int) -> tuple[Day, Day]:
    """The numbers of both days. Raises InvalidFields with each rule that they break."""
    broken: list[InvalidInput] = []
    for field, day in (("start_date", start), ("end_date", end)):
        try:
            retained_day(day, today, retention_days, field)
        except InvalidInput as error:
            broken.append(error)
    if start > end:
        broken.append(InvalidInput("start_date", "must not be after end_date"))
    if broken:
        raise InvalidFields(*broken)
    return day_number(start), day_number(end)
