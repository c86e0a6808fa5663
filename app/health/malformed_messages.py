"""What came out of a queue and is no message: the newest are kept for an operator to look at, and all are counted."""

from typing import cast

import redis

from app.storage.keys import Keys

# Enough to see what somebody sent, and too little to fill Redis: 1 MB. The beginning of a message says where it came from.
KEPT = 100
KEPT_BYTES = 10_000
# An operator who was away for a week still finds them. They may hold what is known of a student, so not longer.
KEPT_SECONDS = 7 * 86_400


class MalformedMessages:
    """Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        keys = Keys(key_prefix)
        self._kept = keys.malformed()
        self._counts = keys.malformed_counts()

    def set_aside(self, queue: str, message: bytes, reason: str) -> None:
        """Keep the beginning of a message, with where it was and what is wrong with it, and count it."""
        pipeline = self._redis.pipeline()
        entry = {"queue": queue, "reason": reason, "bytes": len(message), "message": message[:KEPT_BYTES]}
        pipeline.xadd(self._kept, entry, maxlen=KEPT)  # type: ignore[arg-type]  # a dict is invariant
        pipeline.expire(self._kept, KEPT_SECONDS)
        pipeline.hincrby(self._counts, queue, 1)
        pipeline.execute()

    def counts(self) -> dict[str, int]:
        """How many each queue had, ever."""
        counts = cast("dict[bytes, bytes]", self._redis.hgetall(self._counts))
        return {queue.decode(): int(count) for queue, count in counts.items()}

    def kept(self) -> list[tuple[str, str, bytes]]:
        """The newest, oldest first: queue, reason and message."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(self._kept))
        return [(entry[b"queue"].decode(), entry[b"reason"].decode(), entry[b"message"]) for _, entry in entries]
