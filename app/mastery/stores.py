"""The stores of mastery: facts, scores, rankings, tenants and expired records."""

from typing import NamedTuple, cast

import redis

from app.mastery.expired_records import ExpiredRecords
from app.mastery.fact_store import FactStore
from app.mastery.ranking_store import RankingStore
from app.mastery.score_store import ScoreStore
from app.storage.keys import Keys


class TenantStore:
    """The tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def all(self) -> list[str]:
        """Every tenant that ever sent an event, or erased a student, sorted."""
        return sorted(name.decode() for name in cast("set[bytes]", self._redis.smembers(self._keys.tenants())))


class MasteryStores(NamedTuple):
    """The stores of one engine."""

    facts: FactStore
    scores: ScoreStore
    tenants: TenantStore
    expired: ExpiredRecords
    rankings: RankingStore
