"""Heartbeat of the sweeps for lost chunks; it shows that beat and the workers process periodic tasks."""

import redis

from app.storage.keys import Keys

# Fifteen sweep intervals. A backlog does not delay sweeps so long, since workers serve the queues in turn.
SILENT_SECONDS = 30


class Sweeps:
    """The time of the last sweep. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._key = Keys(key_prefix).swept()

    def note(self) -> None:
        """Note that a sweep succeeded."""
        self._redis.set(self._key, b"", ex=SILENT_SECONDS)  # the server's clock, since those of the workers may differ

    def go_on(self) -> bool:
        """Whether a sweep succeeded within the last ``SILENT_SECONDS``."""
        return bool(self._redis.exists(self._key))
