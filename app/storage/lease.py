"""The right to do something alone, for some seconds at a time, among processes that share a Redis."""

import time

import redis
from redis.exceptions import LockError


class Lease:
    """Held by at most one process, and by none for up to ``seconds`` after its holder died. Not thread-safe."""

    def __init__(self, client: redis.Redis, key: str, seconds: float) -> None:
        # Not thread-local: whichever thread of the process asks, it is the same holder.
        self._lock = client.lock(key, timeout=seconds, blocking=False, thread_local=False)
        self._seconds = seconds
        self._sure_until = 0.0

    def hold(self, seconds: float) -> bool:
        """Hold the lease for at least so many seconds; False while someone else holds it. Raises DependencyUnavailable."""
        now = time.monotonic()
        if now + seconds > self._sure_until:
            self._sure_until = 0.0
            if not self._take():
                return False
            self._sure_until = now + self._seconds
        return True

    def prolong(self, seconds: float) -> bool:
        """Hold it on for at least so many seconds; False if it was lost meanwhile. Raises DependencyUnavailable."""
        now = time.monotonic()
        if now + seconds > self._sure_until:
            self._sure_until = 0.0
            try:
                self._lock.reacquire()
            except LockError:
                return False
            self._sure_until = now + self._seconds
        return True

    def _take(self) -> bool:
        try:
            return bool(self._lock.reacquire())
        except LockError:
            return bool(self._lock.acquire())

    def release(self) -> None:
        """Give it up, if it is held. Raises DependencyUnavailable."""
        self._sure_until = 0.0
        try:
            self._lock.release()
        except LockError:
            return  # it had run out
