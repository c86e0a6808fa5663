"""Leases: mutual exclusion for a limited time among processes that share a Redis."""

import time
from typing import cast

import redis
from redis.exceptions import LockError


class Lease:
    """A lease held by at most one process. It expires ``seconds`` after its holder died. Not thread-safe."""

    def __init__(self, client: redis.Redis, key: str, seconds: float) -> None:
        # Not thread-local: all threads of the process share the lease.
        self._lock = client.lock(key, timeout=seconds, blocking=False, thread_local=False)
        self._seconds = seconds
        self._sure_until = 0.0

    def hold(self, seconds: float) -> bool:
        """Acquire or renew for at least ``seconds``; False if another process holds it. Raises DependencyUnavailable."""
        now = time.monotonic()
        if now + seconds > self._sure_until:
            self._sure_until = 0.0
            if not self._take():
                return False
            self._sure_until = now + self._seconds
        return True

    def prolong(self, seconds: float) -> bool:
        """Renew a held lease for at least ``seconds``; False if it was lost. Raises DependencyUnavailable."""
        now = time.monotonic()
        if now + seconds > self._sure_until:
            self._sure_until = 0.0
            try:
                self._lock.reacquire()
            except LockError:
                return False
            self._sure_until = now + self._seconds
        return True

    @property
    def token(self) -> bytes | None:
        """The value of the key while this process holds the lease, for scripts that check it; None if it never held it."""
        return cast("bytes | None", self._lock.local.token)

    def _take(self) -> bool:
        try:
            return bool(self._lock.reacquire())
        except LockError:
            return bool(self._lock.acquire())

    def release(self) -> None:
        """Release the lease, if held. Raises DependencyUnavailable."""
        self._sure_until = 0.0
        try:
            self._lock.release()
        except LockError:
            return  # it had expired
