"""Compares recorded forecasts with what came, once their day is over, and adds their errors to the sums."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from app.clock import Day, day_number
from app.consent.consent_store import ConsentStore
from app.mastery.fact_store import FactStore, StudentRecord
from app.mastery.facts import Unreadable
from app.mastery.stores import MasteryStores
from app.predictions.forecast_records import ForecastRecords, Settled, decode_forecast
from app.predictions.recorded_forecast import Origin, error_of, outcome_on
from app.purposes import Purpose


class Scored(NamedTuple):
    """How many forecasts of a tenant a step has scored."""

    tenant: str
    forecasts: int


def score_forecasts(
    *, records: ForecastRecords, stores: MasteryStores, consents: ConsentStore, now: datetime, batch: int
) -> Iterator[Scored]:
    """Score the forecasts for all days before today.

    A forecast counts nowhere if its student has no facts of then any more, does not allow ``predictions`` any more, or if it
    or the student's record cannot be read. Settled forecasts are gone, so an abandoned iteration is continued by a new one.

    Yields:
        After each step of about ``batch`` students, what was scored.
    """
    today = day_number(now)
    for tenant in stores.tenants.all():
        for day in records.days(tenant):
            if day >= today:
                break
            while some := records.some(tenant, day, batch):
                settled = _settled(tenant, day, some, stores.facts, consents)
                yield Scored(tenant, records.settle(tenant, day, settled))
            records.close(tenant, day)


def _settled(
    tenant: str, day: Day, stored: Mapping[str, bytes], facts: FactStore, consents: ConsentStore
) -> dict[str, Settled]:
    allowed = sorted(consents.allowing(tenant, stored, Purpose.PREDICTIONS))
    known = dict(zip(allowed, facts.read_many(tenant, allowed, day, day), strict=True))
    return {student: _settle(day, each, known.get(student), facts.retention_days) for student, each in stored.items()}


def _settle(day: Day, stored: bytes, record: StudentRecord | Unreadable | None, retention_days: int) -> Settled:
    made = decode_forecast(stored)
    if made is None or not isinstance(record, StudentRecord):
        return Settled(stored)
    error = error_of(made, outcome_on(record, day, retention_days))
    return Settled(stored, made.cohort_id, Origin(day, made.model, made.model_version), error)
