"""A student's mastery, computed from the facts, for today or an earlier day."""

from collections.abc import Mapping
from datetime import date, datetime

from msgspec import Struct, structs

from app.clock import Day, day_date, day_number
from app.errors import InvalidInput
from app.mastery.components import mastery_history
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import first_retained_day
from app.mastery.formula import (
    DEFAULT_WEIGHTS,
    Components,
    Contribution,
    Level,
    Weights,
    breakdown,
    classify,
    coverage,
    mastery_score,
)
from app.mastery.stores import MasteryStores
from app.mastery.trend import Trend, historical_average, trend


class Calculation(Struct, frozen=True, kw_only=True):
    """The result of the formula: score 0..1, level, coverage, components and their contributions."""

    score: float
    level: Level
    coverage: float
    components: dict[str, float | None]
    breakdown: dict[str, Contribution]


class Standing(Calculation, frozen=True, kw_only=True):
    """A student's mastery on a day, its trend, and its mean since the first retained evidence."""

    student_id: str
    cohort_id: str | None
    date: date
    trend: Trend
    historical_average: float


def calculate(components: Components, weights: Weights = DEFAULT_WEIGHTS) -> Calculation:
    """Apply the formula to components. Only the reported components are rounded, not those computed with."""
    score = mastery_score(components, weights)
    parts = breakdown(components, weights)
    return Calculation(
        score=score,
        level=classify(score),
        coverage=coverage(components, weights),
        components={name: part.score for name, part in parts.items()},
        breakdown=parts,
    )


def query_mastery(
    tenant: str,
    student_id: str,
    *,
    stores: MasteryStores,
    now: datetime,
    on: date | None = None,
    fields: Mapping[bytes, bytes] | None = None,
) -> Standing:
    """A student's standing today, or on the day ``on``. ``fields`` is the record's hash, if already read.

    Raises NotFound without evidence up to that day, and InvalidInput for a day in the future or before the retention window.

    Returns:
        The standing under the default weights.
    """
    today = day_number(now)
    day = today if on is None else retained_day(on, today, stores.facts.retention_days)
    return standing(student_id, stores.facts.read(tenant, student_id, today, until=day, fields=fields), day)


def standing(student_id: str, record: StudentRecord, day: Day, weights: Weights = DEFAULT_WEIGHTS) -> Standing:
    """A student's standing on a day, from the facts and under the given weights."""
    daily, components = mastery_history(record.days, day, weights)
    return Standing(
        **structs.asdict(calculate(components, weights)),
        student_id=student_id,
        cohort_id=record.cohort_id,
        date=day_date(day),
        trend=trend(daily, day),
        historical_average=historical_average(daily),
    )


def retained_day(on: date, today: Day, retention_days: int, field: str = "date") -> Day:
    """The number of a day. Raises InvalidInput about ``field`` if it is in the future or before the retention window."""
    day = day_number(on)
    if day > today:
        raise InvalidInput(field, "must not be in the future")
    if day < first_retained_day(today, retention_days):
        raise InvalidInput(field, f"must lie within the {retention_days} days that are retained")
    return day
