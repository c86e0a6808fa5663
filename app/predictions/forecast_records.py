"""Forecasts in Redis until their day has ended, when they are scored. See docs/decisions/0028-forecasts.md."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import redis

from app.clock import Day, day_date
from app.consent.consent import Consent
from app.predictions.forecast import WEEK, Forecast
from app.predictions.forecast_cache import Cached
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.recorded_forecast import Origin, RecordedForecast, recorded, target_day
from app.storage.erased import Erased
from app.storage.exported import Exported, ExportedRow
from app.storage.keys import Keys
from app.storage.scripts import STUDENTS_PER_CALL, load_script, run_script, slices

# How many days after its day a forecast can still be scored: as long as workers may be down over a weekend.
SCORABLE_DAYS = 3
_DAY_SECONDS = 86_400
KEPT_SECONDS = (WEEK + 1 + SCORABLE_DAYS) * _DAY_SECONDS
MILLION = 1_000_000
STUDENTS_PER_ERASURE = 1000  # fields of an HDEL: less than a millisecond of the server's time

COLUMNS = {
    "date": "the day that was forecast, UTC",
    "predicted_score": "the mastery that was forecast for it a week before, 0..1",
    "lower": "the lower end of the interval, 0..1",
    "upper": "its upper end, 0..1",
    "cohort_id": "the student's cohort at that time",
    "model": "the kind of model that made the forecast",
    "model_version": "its version",
}

_decoder = msgspec.msgpack.Decoder(RecordedForecast)


class Settled(NamedTuple):
    """A forecast as it is stored, and how far it was off; None: it is dropped and counts nowhere."""

    stored: bytes
    cohort_id: str | None = None
    origin: Origin | None = None
    error: ForecastErrors | None = None


class ForecastRecords:
    """The recorded forecasts of all tenants, at most one for each student and day: the last one that was made.

    Raises DependencyUnavailable when Redis does not answer; all calls may be repeated.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, accuracy_days: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._accuracy_days = accuracy_days
        self._remember = load_script(client, Path(__file__).with_name("remember_forecast.lua"))
        self._settle = load_script(client, Path(__file__).with_name("settle_forecasts.lua"))

    def remember(self, tenant: str, student_id: str, cached: Cached, consent: Consent, forecast: Forecast) -> bool:
        """Record a forecast of facts that were read after ``cached``. Returns whether nothing has changed since."""
        keys, day = self._keys, target_day(forecast)
        names = [
            keys.recorded_forecasts(tenant, str(day)),
            keys.forecast_days(tenant),
            keys.student(tenant, student_id),
            keys.consent(tenant, student_id),
        ]
        entry = msgspec.msgpack.encode(recorded(forecast))
        arguments: list[Any] = [cached.revision or 0, consent.stored, student_id, entry, day, KEPT_SECONDS]
        return bool(self._remember(names, arguments))

    def days(self, tenant: str) -> list[Day]:
        """The days for which forecasts may be recorded, sorted."""
        return sorted(map(int, cast("set[bytes]", self._redis.smembers(self._keys.forecast_days(tenant)))))

    def some(self, tenant: str, day: Day, count: int) -> dict[str, bytes]:
        """About this many of the forecasts for a day, as they are stored, by student; empty if there are none."""
        key, cursor = self._keys.recorded_forecasts(tenant, str(day)), 0
        while True:
            cursor, found = cast("tuple[int, dict[bytes, bytes]]", self._redis.hscan(key, cursor, count=count))
            if found or not cursor:
                return {student.decode(): stored for student, stored in found.items()}

    def settle(self, tenant: str, day: Day, settled: Mapping[str, Settled]) -> int:
        """Remove forecasts for a day, and add their errors to the sums of tenant and cohort. Returns how many were counted."""
        keys = self._keys
        of_tenant, oldest = keys.accuracy(tenant), day - self._accuracy_days
        calls: list[tuple[list[str], list[Any]]] = []
        for some in slices(settled.items(), STUDENTS_PER_CALL):
            names = [keys.recorded_forecasts(tenant, str(day)), of_tenant]
            arguments: list[Any] = [self._accuracy_days * _DAY_SECONDS, oldest]
            for student, each in some:
                names.append(of_tenant if each.cohort_id is None else keys.cohort_accuracy(tenant, each.cohort_id))
                arguments += [student, each.stored, *_added(each)]
            calls.append((names, arguments))
        return sum(run_script(self._redis, self._settle, calls))

    def close(self, tenant: str, day: Day) -> None:
        """Note that a day that has ended has no forecasts any more."""
        self._redis.srem(self._keys.forecast_days(tenant), day)

    def erase(self, tenant: str, students: Sequence[str]) -> Erased:
        """Erase the recorded forecasts of students. Returns how many there were."""
        pipeline = self._redis.pipeline(transaction=False)
        for day in self.days(tenant):
            for some in slices(students, STUDENTS_PER_ERASURE):
                pipeline.hdel(self._keys.recorded_forecasts(tenant, str(day)), *some)
        return Erased(sum(pipeline.execute()))

    def export(self, tenant: str, student_id: str) -> Exported:
        """The recorded forecasts of a student. Returns a row for each, by day."""
        return Exported("A forecast whose day is not over, or not scored yet.", COLUMNS, lambda: self._rows(tenant, student_id))

    def _rows(self, tenant: str, student_id: str) -> Iterator[ExportedRow]:
        for day in self.days(tenant):
            stored = cast("bytes | None", self._redis.hget(self._keys.recorded_forecasts(tenant, str(day)), student_id))
            if made := decode_forecast(stored):
                told = (day_date(day).isoformat(), made.score, made.lower, made.upper, made.cohort_id, made.model)
                yield dict(zip(COLUMNS, (*told, made.model_version), strict=True))


def decode_forecast(stored: bytes | None) -> RecordedForecast | None:
    """The recorded forecast; None if there is none, or if another version of the engine recorded it."""
    try:
        return None if stored is None else _decoder.decode(stored)
    except msgspec.DecodeError:
        return None


def _added(settled: Settled) -> list[Any]:
    """The arguments of ``settle_forecasts.lua`` after the stored forecast."""
    origin, error = settled.origin, settled.error
    if origin is None or error is None:
        return ["", 0, 0, 0, 0]
    field = f"{origin.day} {origin.model} {origin.model_version}"
    return [field, round(error.absolute * MILLION), round(error.squared * MILLION), error.close, error.inside]
