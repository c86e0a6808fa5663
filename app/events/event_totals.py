"""Event totals per tenant. ``merge_evidence.lua`` counts events atomically with the merge of their evidence."""

from collections.abc import Iterable
from typing import NamedTuple, cast

import redis

from app.storage.keys import Keys

# How long the bitmap of a chunk in flight is kept. It only keeps the totals exact if the chunk is repeated.
COUNTED_SECONDS = 7 * 86_400
DONE_SECONDS = 300  # far longer than two attempts can overlap


class Totals(NamedTuple):
    """A tenant's number of events by result since the store was created; ``erased`` ones precede their student's erasure."""

    applied: int = 0
    duplicates: int = 0
    expired: int = 0
    erased: int = 0


class EventTotals:
    """The totals, and which events of chunks in flight they have. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def of(self, tenant: str) -> Totals:
        """The tenant's totals."""
        counts = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.totals(tenant)))
        return Totals(**{name.decode(): int(count) for name, count in counts.items()})

    def begin_chunk(self, tenants: Iterable[str], chunk_id: str) -> None:
        """Register a chunk with events of these tenants before it is merged. Idempotent."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.sadd(self._keys.tenants(), tenant)
            pipeline.set(self._keys.counted_chunk(tenant, chunk_id), "", nx=True, ex=COUNTED_SECONDS)
        pipeline.execute()

    def end_chunk(self, tenants: Iterable[str], chunk_id: str) -> None:
        """Expire a chunk's bitmap soon. Only a concurrent attempt may still merge the chunk again."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.expire(self._keys.counted_chunk(tenant, chunk_id), DONE_SECONDS)
        pipeline.execute()
