"""Malformed messages from Celery's queues: all are counted, and the newest are stored for inspection by an operator."""

import re
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import redis

from app.storage.erased import Erased
from app.storage.keys import Keys
from app.storage.scripts import load_script

# At most 1 MB of Redis, and enough for inspection: the beginning of a message shows where it came from.
KEPT = 100
KEPT_BYTES = 10_000
# Long enough for an operator to look at them; no longer, since they may contain personal data.
KEPT_SECONDS = 7 * 86_400

# kombu encodes a body in Base64. A message may be cut anywhere, so a run of these characters may end within a group of four.
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}")


class MalformedMessages:
    """The stored messages and their counts. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        keys = Keys(key_prefix)
        self._kept = keys.malformed()
        self._counts = keys.malformed_counts()
        self._drop = load_script(client, Path(__file__).with_name("drop_messages.lua"))

    def set_aside(self, queue: str, message: bytes, reason: str) -> None:
        """Store the beginning of a message with its queue and the reason for its rejection, and count it."""
        pipeline = self._redis.pipeline()
        entry = {"queue": queue, "reason": reason, "bytes": len(message), "message": message[:KEPT_BYTES]}
        pipeline.xadd(self._kept, entry, maxlen=KEPT)  # type: ignore[arg-type]  # a dict is invariant
        pipeline.expire(self._kept, KEPT_SECONDS)
        pipeline.hincrby(self._counts, queue, 1)
        pipeline.execute()

    def expire(self, now: datetime) -> int:
        """Delete the messages stored ``KEPT_SECONDS`` ago: the key itself expires only that long after the newest one.

        Returns:
            How many were deleted.
        """
        limit = round(now.timestamp() * 1000) - KEPT_SECONDS * 1000
        entries = cast("list[tuple[bytes, object]]", self._redis.xrange(self._kept, max=limit))
        return cast("int", self._drop([self._kept], [entry_id for entry_id, _ in entries])) if entries else 0

    def erase(self, tenant: str, students: Sequence[str], /) -> Erased:  # noqa: ARG002 - a message may not name the tenant
        """Delete the stored messages that name one of these students, of whichever tenant. Returns how many."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(self._kept))
        named = [each.encode() for each in students]
        found = [entry_id for entry_id, entry in entries if _names(entry[b"message"], named)]
        return Erased(cast("int", self._drop([self._kept], found)) if found else 0)

    def counts(self) -> dict[str, int]:
        """The total number of malformed messages per queue."""
        counts = cast("dict[bytes, bytes]", self._redis.hgetall(self._counts))
        return {queue.decode(): int(count) for queue, count in counts.items()}

    def kept(self) -> list[tuple[str, str, bytes]]:
        """The stored messages as (queue, reason, message), oldest first."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(self._kept))
        return [(entry[b"queue"].decode(), entry[b"reason"].decode(), entry[b"message"]) for _, entry in entries]


def _names(message: bytes, students: Sequence[bytes]) -> bool:
    """Whether a message has one of these ids, as it is or in Base64."""
    parts = [message, *(b64decode(run[: len(run) // 4 * 4]) for run in _BASE64.findall(message))]
    return any(student in part for student in students for part in parts)
