"""How many events of each tenant ended how. ``merge_evidence.lua`` counts them, in the step that merges their evidence."""

from collections.abc import Iterable
from typing import NamedTuple, cast

import redis

from app.storage.keys import Keys

# A chunk that is not done after a week never will be. Its bitmap only keeps the totals exact should it be repeated.
COUNTED_SECONDS = 7 * 86_400
DONE_SECONDS = 300  # far longer than two attempts may overlap


class Totals(NamedTuple):
    """How many events of a tenant were applied, repeated or too old, since the store was created."""

    applied: int = 0
    duplicates: int = 0
    expired: int = 0


class EventTotals:
    """The totals, and which events of a chunk in flight are in them.

    Raises DependencyUnavailable when Redis does not answer.
    """

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def of(self, tenant: str) -> Totals:
        """How the tenant's events ended."""
        counts = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.totals(tenant)))
        return Totals(**{name.decode(): int(count) for name, count in counts.items()})

    def begin_chunk(self, tenants: Iterable[str], chunk_id: str) -> None:
        """Say that a chunk with events of these tenants will be merged; to say it again changes nothing."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.sadd(self._keys.tenants(), tenant)
            pipeline.set(self._keys.counted_chunk(tenant, chunk_id), "", nx=True, ex=COUNTED_SECONDS)
        pipeline.execute()

    def end_chunk(self, tenants: Iterable[str], chunk_id: str) -> None:
        """Forget soon which events of a chunk were counted: only an attempt that still runs may merge it again."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.expire(self._keys.counted_chunk(tenant, chunk_id), DONE_SECONDS)
        pipeline.execute()
