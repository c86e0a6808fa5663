"""The weekly trends of cohorts in Redis, for as long as forecasts are kept: computing one reads the facts of all students."""

import msgspec
import redis
from msgspec import Struct

from app.analytics.weekly_means import Week
from app.clock import Day
from app.storage.claim import Claim
from app.storage.keys import Keys

# How long others wait for the one who computes a trend. They keep a process of a worker waiting.
CLAIM_SECONDS = 10


class Trend(Struct, frozen=True):
    """A cohort's trend.

    Attributes:
        day: the day on which it was computed.
        basis: the decisions that it is based on: see ``ConsentStore.statistics_basis``.
        computed_at: when, in microseconds since 1970-01-01, UTC.
        sampled: whether it is of some of the students, drawn at random.
        weeks: the earliest first; the last one ends today.
    """

    day: Day
    basis: str
    computed_at: int
    sampled: bool
    weeks: list[Week]


_trend = msgspec.json.Decoder(Trend)


class TrendStore:
    """The trends of all tenants. Raises DependencyUnavailable when Redis does not answer; all calls may be repeated."""

    def __init__(self, client: redis.Redis, key_prefix: str, seconds: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._seconds = seconds

    def claim(self, tenant: str, cohort: str) -> Claim:
        """The right to compute a cohort's trend."""
        return Claim(self._redis, self._keys.cohort_trend_claim(tenant, cohort), CLAIM_SECONDS)

    def put(self, tenant: str, cohort: str, trend: Trend) -> None:
        """Store a trend."""
        self._redis.set(self._keys.cohort_trend(tenant, cohort), msgspec.json.encode(trend), ex=self._seconds)

    def read(self, tenant: str, cohort: str) -> Trend | None:
        """The stored trend; None if there is none, or it cannot be read: it is computed anew then."""
        encoded = self._redis.get(self._keys.cohort_trend(tenant, cohort))
        try:
            return _trend.decode(encoded) if isinstance(encoded, bytes) else None
        except (msgspec.DecodeError, RecursionError):
            return None
