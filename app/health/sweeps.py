"""The sign that sweeps for lost tasks go on: what beat and the workers are to do again and again is done."""

import redis

from app.storage.keys import Keys

# Fifteen sweeps. A worker that is behind takes one all the same: it takes from each queue in turn.
SILENT_SECONDS = 30


class Sweeps:
    """Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._key = Keys(key_prefix).swept()

    def note(self) -> None:
        """A sweep has ended in order."""
        self._redis.set(self._key, b"", ex=SILENT_SECONDS)  # by the server's clock, as there may be many others

    def go_on(self) -> bool:
        """Whether there was one within the last seconds."""
        return bool(self._redis.exists(self._key))
