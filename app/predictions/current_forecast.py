"""A student's forecast of today: the stored one if nothing has changed since, else a new one; and those of a batch."""

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple, TypeAlias

from app.clock import Day, day_number
from app.consent.consent import Consent
from app.consent.consent_store import ConsentStore
from app.consent.require_consent import require_consent
from app.errors import NotFound
from app.mastery.fact_store import StudentRecord
from app.mastery.stores import MasteryStores
from app.predictions.error_quantiles import IntervalTable
from app.predictions.forecast import Forecast, has_history
from app.predictions.forecast_cache import Cached, ForecastCache, basis_of, valid_forecast
from app.predictions.forecast_model import ForecastModel, Models
from app.predictions.forecast_records import ForecastRecords
from app.predictions.make_forecast import Means, make_forecast
from app.purposes import Purpose


class Forecasting(NamedTuple):
    """What forecasts are made with.

    Attributes:
        stores: of mastery.
        consents: what students have decided.
        cache: where forecasts are kept for an hour.
        records: where they are kept until their day is over, when they are scored.
        models: which model answers for a cohort on a day.
        intervals: past errors of the base model.
    """

    stores: MasteryStores
    consents: ConsentStore
    cache: ForecastCache
    records: ForecastRecords
    models: Models
    intervals: IntervalTable


WeekForecaster: TypeAlias = Callable[[StudentRecord, Day], Forecast]  # of a student's facts on a day, for the week after it


def week_forecaster(tenant: str, using: Forecasting) -> WeekForecaster:
    """Makes forecasts of a tenant's students that have the next week only. Nothing is stored."""
    model_of = cache(partial(using.models, tenant))  # one for all students of a cohort on a day

    def forecast(record: StudentRecord, day: Day) -> Forecast:
        means = Means(model_of(record.cohort_id, day), using.intervals, using.stores.facts.retention_days)
        return make_forecast(record, day, means=means, only_week=True)

    return forecast


class _Basis(NamedTuple):
    cached: Cached
    consent: Consent
    model: ForecastModel
    today: Day
    text: str


def stored_forecast(tenant: str, student_id: str, *, using: Forecasting, now: datetime) -> Forecast | None:
    """Look for a forecast in the cache, in three round trips.

    Raises NotFound for a student without facts, and ConsentWithdrawn.

    Returns:
        The forecast; None if there is none that is still valid.
    """
    basis = _read(tenant, student_id, using, now)
    return valid_forecast(basis.cached, basis.text)


def current_forecast(tenant: str, student_id: str, *, using: Forecasting, now: datetime) -> Forecast:
    """The stored forecast, or a new one, which is stored and recorded unless facts or consent change meanwhile.

    Of several callers at the same time one computes; the others wait for its forecast, in bounded time, else compute too.

    Raises NotFound for a student without evidence, and ConsentWithdrawn.

    Returns:
        A forecast from the facts of now.
    """
    if found := stored_forecast(tenant, student_id, using=using, now=now):
        return found
    with using.cache.claim(tenant, student_id):
        return _made(tenant, student_id, using, now)


def _made(tenant: str, student_id: str, using: Forecasting, now: datetime) -> Forecast:
    basis = _read(tenant, student_id, using, now)
    if found := valid_forecast(basis.cached, basis.text):
        return found
    facts = using.stores.facts
    means = Means(basis.model, using.intervals, facts.retention_days)
    made = make_forecast(facts.read(tenant, student_id, basis.today), basis.today, means=means)
    if has_history(made.history_days):  # else it says nothing of how good a model is
        using.records.remember(tenant, student_id, basis.cached, basis.consent, made)
    using.cache.put(tenant, student_id, basis.cached, basis.consent, basis.text, made)
    return made


def _read(tenant: str, student_id: str, using: Forecasting, now: datetime) -> _Basis:
    cached, today = using.cache.read(tenant, student_id), day_number(now)
    if cached.revision is None:
        raise NotFound("no evidence of such a student")
    consent = require_consent(tenant, student_id, Purpose.PREDICTIONS, consents=using.consents)
    model = using.models(tenant, cached.cohort_id, today)
    text = basis_of(cached, consent, model, today, using.stores.facts.retention_days)
    return _Basis(cached, consent, model, today, text)
