"""The sums of the errors of forecasts in Redis. ``settle_forecasts.lua`` is their only writer, and describes them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import redis

from app.clock import Day
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.forecast_records import MILLION
from app.predictions.recorded_forecast import Origin
from app.storage.keys import Keys
from app.storage.scripts import slices

# Cohorts per round trip: each has some 100 sums, 6 KB.
COHORTS_PER_READ = 100

Sums: TypeAlias = Mapping[Origin, ForecastErrors]


class AccuracyStore:
    """The sums of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, days: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._days = days

    def of_tenant(self, tenant: str, today: Day) -> Sums:
        """The sums over all students of a tenant."""
        return self._read([self._keys.accuracy(tenant)], today)[0]

    def of_cohorts(self, tenant: str, cohorts: Sequence[str], today: Day) -> Iterator[tuple[str, Sums]]:
        """The sums over the students of each cohort, in the given order; empty where nothing was scored."""
        for some in slices(cohorts, COHORTS_PER_READ):
            names = [self._keys.cohort_accuracy(tenant, cohort) for cohort in some]
            yield from zip(some, self._read(names, today), strict=True)

    def _read(self, names: Sequence[str], today: Day) -> list[Sums]:
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(name)
        return [self._kept(fields, today) for fields in pipeline.execute()]

    def _kept(self, fields: Mapping[bytes, bytes], today: Day) -> Sums:
        """Those of the days that count; older ones are removed when a new day is added."""
        found = {_origin(field): _errors(value) for field, value in fields.items()}
        return {origin: errors for origin, errors in found.items() if origin.day >= today - self._days}


def _origin(field: bytes) -> Origin:
    day, model, version = field.decode().split(" ", 2)
    return Origin(int(day), model, version)


def _errors(value: bytes) -> ForecastErrors:
    number, absolute, squared, close, inside = map(int, value.split())
    return ForecastErrors(number, absolute / MILLION, squared / MILLION, close, inside)
