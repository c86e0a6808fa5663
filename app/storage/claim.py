"""A claim in Redis: one computes something, and the others wait until it is there, for a bounded time."""

import time
from contextlib import AbstractContextManager

import redis

PAUSE_SECONDS = 0.005  # between looks whether a claim has ended


class Claim(AbstractContextManager["Claim"]):
    """The right to compute something, under a key. It ends by itself after ``seconds``, if its owner dies.

    As a context: it is taken, or that of another process is awaited. Look for the result inside, and compute it if it is not
    there, as the other process may have died.
    """

    def __init__(self, client: redis.Redis, key: str, seconds: int) -> None:
        self._redis = client
        self._key = key
        self._seconds = seconds
        self._is_mine = False

    def take(self) -> bool:
        """Take it. Returns False if somebody has it."""
        self._is_mine = bool(self._redis.set(self._key, "", nx=True, ex=self._seconds))
        return self._is_mine

    def await_end(self) -> None:
        """Wait until nobody has it any more, at most for its ``seconds``."""
        deadline = time.monotonic() + self._seconds
        while self._redis.exists(self._key) and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)

    def release(self) -> None:
        """End it. If it had ended by itself and another one has begun, that one's result may be computed twice."""
        self._redis.unlink(self._key)
        self._is_mine = False

    def __enter__(self) -> "Claim":
        if not self.take():
            self.await_end()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._is_mine:
            self.release()
