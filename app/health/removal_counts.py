"""Counts what was removed because its retention ended, for metrics."""

from enum import StrEnum
from typing import cast

import redis

from app.storage.keys import Keys


class Removed(StrEnum):
    """What can be removed."""

    STUDENTS = "students"  # all of their evidence had expired
    ERASURES = "erasures"  # pseudonyms of erased students
    BATCHES = "batches"
    CHANGES = "changes"  # entries that were never published
    DEAD_LETTERS = "dead_letters"  # that were never delivered
    MALFORMED_MESSAGES = "malformed_messages"


class RemovalCounts:
    """The counts since the store was created. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._key = Keys(key_prefix).removed()

    def add(self, what: Removed, count: int) -> None:
        """Count removed things. A repeated call counts them again."""
        if count:
            self._redis.hincrby(self._key, what.value, count)

    def read(self) -> dict[Removed, int]:
        """How much of each kind was removed."""
        counts = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        return {what: int(counts.get(what.value.encode(), 0)) for what in Removed}
