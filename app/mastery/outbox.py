"""The outbox of score changes to be published. ``put_scores.lua`` adds them atomically with the score."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import redis

from app.mastery.result_messages import Change
from app.storage.keys import Keys
from app.storage.redis_client import next_id

_changes = msgspec.msgpack.Decoder(list[Change])


class OutboxEntry(NamedTuple):
    """Changes that were stored together, with the id of their stream entry."""

    entry_id: str
    at: datetime
    changes: list[Change]


class Outbox:
    """The changes of each tenant, in storage order. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def entries(self, tenants: Sequence[str]) -> dict[str, int]:
        """The number of waiting entries, for tenants that have any."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.xlen(self._keys.changes(tenant))
        return {tenant: count for tenant, count in zip(tenants, pipeline.execute(), strict=True) if count}

    def read(self, tenants: Sequence[str], limit: int) -> dict[str, list[OutboxEntry]]:
        """Up to ``limit`` entries per tenant, for tenants that have any."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.xrange(self._keys.changes(tenant), count=limit)
        replies = pipeline.execute()
        return {tenant: list(map(_entry, entries)) for tenant, entries in zip(tenants, replies, strict=True) if entries}

    def acknowledge(self, tenant: str, until: str) -> None:
        """Remove published entries up to an id."""
        self._redis.xtrim(self._keys.changes(tenant), minid=next_id(until), approximate=False)


def _entry(entry: tuple[bytes, dict[bytes, bytes]]) -> OutboxEntry:
    entry_id, fields = entry
    at = datetime.fromtimestamp(int(fields[b"at"]) / 1000, UTC)
    return OutboxEntry(entry_id.decode(), at, _changes.decode(fields[b"changes"]))
