"""Forecasts in Redis, for an hour, and who is computing one. See docs/decisions/0028-forecasts.md.

A forecast is stored with what it depends on, and used only while all of that is as it was: the revision of the facts, the day,
the model, the decisions about consent, and the retention. ``put_forecast.lua`` stores none of an erased student.
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, cast

import msgpack
import msgspec
import redis
from msgspec import Struct

from app.clock import Day
from app.consent.consent import Consent
from app.predictions.forecast import Forecast
from app.predictions.forecast_model import ForecastModel
from app.storage.claim import Claim
from app.storage.erased import Erased
from app.storage.keys import Keys
from app.storage.scripts import load_script, slices

# How long others wait for the one who computes a forecast: it takes milliseconds, or a second in a new worker.
CLAIM_SECONDS = 3
STUDENTS_PER_CALL = 1000  # of an UNLINK with two keys each: less than a millisecond of the server's time
_DIGEST_BYTES = 16


class _Entry(Struct, frozen=True, array_like=True):
    """A stored forecast and what it depends on."""

    basis: str
    forecast: Forecast


class Cached(NamedTuple):
    """What is stored about a student.

    Attributes:
        revision: of the facts; None without facts.
        cohort_id: the student's cohort.
        entry: the stored forecast, encoded; None without one.
    """

    revision: int | None
    cohort_id: str | None
    entry: bytes | None


_entry = msgspec.msgpack.Decoder(_Entry)


class ForecastCache:
    """The forecasts of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, seconds: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._seconds = seconds
        self._put = load_script(client, Path(__file__).with_name("put_forecast.lua"))

    def read(self, tenant: str, student_id: str) -> Cached:
        """What is stored about a student, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(self._keys.student(tenant, student_id), "window", "cohort")
        pipeline.get(self._keys.forecast(tenant, student_id))
        (window, cohort), entry = pipeline.execute()
        revision = cast("int", msgpack.unpackb(window)[0]) if window else None
        return Cached(revision, cohort.decode() if cohort else None, entry)

    def claim(self, tenant: str, student_id: str) -> Claim:
        """The right to compute a student's forecast."""
        return Claim(self._redis, self._keys.forecast_claim(tenant, student_id), CLAIM_SECONDS)

    def put(self, tenant: str, student_id: str, cached: Cached, consent: Consent, basis: str, forecast: Forecast) -> bool:
        """Store a forecast of facts that were read after ``cached``. Returns whether nothing has changed since."""
        keys = self._keys
        names = [keys.forecast(tenant, student_id), keys.student(tenant, student_id), keys.consent(tenant, student_id)]
        entry = msgspec.msgpack.encode(_Entry(basis, forecast))
        return bool(self._put(names, [cached.revision or 0, consent.stored, entry, self._seconds]))

    def erase(self, tenant: str, students: Sequence[str]) -> Erased:
        """Erase the forecasts of students. Returns how many things there were."""
        keys, pipeline = self._keys, self._redis.pipeline(transaction=False)
        for some in slices(students, STUDENTS_PER_CALL):
            names = [make(tenant, student) for student in some for make in (keys.forecast, keys.forecast_claim)]
            pipeline.unlink(*names)
        return Erased(sum(pipeline.execute()))


def basis_of(cached: Cached, consent: Consent, model: ForecastModel, today: Day, retention_days: int) -> str:
    """All that a forecast depends on, as text."""
    decided = blake2b(consent.stored, digest_size=_DIGEST_BYTES).hexdigest()
    return f"{cached.revision}/{today}/{model.name}/{model.version}/{retention_days}/{decided}"


def valid_forecast(cached: Cached, basis: str) -> Forecast | None:
    """The stored forecast if it depends on exactly this; None otherwise, or if another version of the engine stored it."""
    if cached.entry is None:
        return None
    try:
        entry = _entry.decode(cached.entry)
    except msgspec.DecodeError:
        return None
    return entry.forecast if entry.basis == basis else None
