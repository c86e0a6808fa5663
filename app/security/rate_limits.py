"""Rate limits per caller: sliding windows of requests, shared by all processes in Redis, or local while Redis is unavailable.

No interval of the window's length has more granted requests than the limit. Rejected requests do not count.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, cast

import redis

from app.config.field_types import listed
from app.errors import DependencyUnavailable
from app.roles import Role
from app.storage.keys import Keys
from app.storage.scripts import load_script

# Time between attempts to reach Redis during an outage. Only the request that makes the attempt waits for the client's timeout.
PAUSE_SECONDS = 1.0
# After this time another attempt is allowed, since the thread of the running one may have died.
ATTEMPT_SECONDS = 30.0
# Callers that a process remembers in local windows; beyond, the least recently active ones are dropped. With the usual limits a
# caller takes 1 to 20 KB.
LOCAL_CALLERS = 10_000

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
PERIODS = {seconds: period for period, seconds in _SECONDS.items()}
_log = logging.getLogger(__name__)


class RateLimit(NamedTuple):
    """The maximum number of requests per period: second, minute, hour or day."""

    requests: int
    period: str

    @property
    def seconds(self) -> int:
        return _SECONDS[self.period]

    def __str__(self) -> str:
        return f"{self.requests}/{self.period}"


class Allowance(NamedTuple):
    """Whether a request is granted, the remaining number, and in how many seconds the oldest request leaves the window.

    ``values`` are those of the additional keys, ``fields`` those of the hash; None if they were not read.
    """

    granted: bool
    remaining: int
    reset_seconds: float
    values: Sequence[bytes | None] | None = None
    fields: Mapping[bytes, bytes] | None = None


def rate_limits(text: str) -> Mapping[Role | None, RateLimit]:
    """Parse a setting such as ``50/minute, admin=600/minute`` to limits by role; None is the limit without a role."""
    general, *special = listed(text)
    limits: dict[Role | None, RateLimit] = dict.fromkeys([None, *Role], _rate_limit(general))
    for each in special:
        role, _, limit = each.partition("=")
        limits[Role(role)] = _rate_limit(limit)
    return limits


def _rate_limit(text: str) -> RateLimit:
    requests, _, period = text.partition("/")
    return RateLimit(int(requests), period)


class SharedWindows:
    """The windows of all callers in Redis: 11 bytes per request. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._count = load_script(client, Path(__file__).with_name("count_request.lua"))

    def count(self, tenant: str, caller: str, limit: RateLimit, keys: Sequence[str] = (), hash_key: str = "") -> Allowance:
        """Count a request of the caller, unless the limit is reached, and read further keys of the tenant in one round trip.

        Returns:
            The allowance, with the values of ``keys``, and with the hash at ``hash_key`` if the request is granted.
        """
        all_keys = [self._window(tenant, caller), *keys]
        if hash_key:
            all_keys.append(hash_key)
        reply = self._count(all_keys, [limit.requests, limit.seconds * 1000, 1 if hash_key else 0])
        remaining, reset, values, pairs = cast("list[Any]", reply)
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True)) if hash_key and remaining >= 0 else None
        return Allowance(remaining >= 0, max(remaining, 0), reset / 1000, values, fields)

    def take_back(self, tenant: str, caller: str) -> None:
        """Remove the request that was counted last."""
        self._redis.lpop(self._window(tenant, caller))

    def _window(self, tenant: str, caller: str) -> str:
        return self._keys.rate(tenant, caller)


class LocalWindows:
    """The windows of this process's latest callers, in memory. Thread-safe; ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._windows: dict[tuple[str, str], deque[float]] = {}  # least recently active caller first

    def count(self, tenant: str, caller: str, limit: RateLimit) -> Allowance:
        """Count a request of the caller, unless the limit is reached."""
        with self._lock:
            now = self._clock()
            window = self._windows[tenant, caller] = self._windows.pop((tenant, caller), deque())
            if len(self._windows) > LOCAL_CALLERS:
                del self._windows[next(iter(self._windows))]
            while window and window[0] <= now - limit.seconds:
                window.popleft()
            granted = len(window) < limit.requests
            if granted:
                window.append(now)
            return Allowance(granted, max(0, limit.requests - len(window)), window[0] + limit.seconds - now)


class RateLimiter:
    """Counts in the shared windows, or with the same limits in local ones while Redis is unavailable. Thread-safe."""

    def __init__(self, shared: SharedWindows, local: LocalWindows, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._local = local
        self._clock = clock
        self._lock = Lock()
        self._next_attempt: float | None = None  # None: Redis answers

    def count(self, tenant: str, caller: str, limit: RateLimit, keys: Sequence[str] = (), hash_key: str = "") -> Allowance:
        """Count a request of the caller, unless the limit is reached; reads further keys only if Redis answers."""
        if self._may_attempt():
            try:
                allowance = self._shared.count(tenant, caller, limit, keys, hash_key)
            except DependencyUnavailable as error:
                self._fall_back(error)
            else:
                self._recover()
                return allowance
        return self._local.count(tenant, caller, limit)

    def take_back(self, tenant: str, caller: str) -> None:
        """Remove the request that was counted last in the shared window. Raises DependencyUnavailable."""
        self._shared.take_back(tenant, caller)

    def _may_attempt(self) -> bool:
        """Whether to call Redis: always while it answers, one request per pause during an outage."""
        with self._lock:
            if self._next_attempt is None:
                return True
            if self._clock() < self._next_attempt:
                return False
            self._next_attempt = self._clock() + ATTEMPT_SECONDS
            return True

    def _fall_back(self, error: DependencyUnavailable) -> None:
        with self._lock:
            if self._next_attempt is None:
                _log.warning("%s: this process counts requests alone (%s)", error, error.__cause__)
            self._next_attempt = self._clock() + PAUSE_SECONDS

    def _recover(self) -> None:
        with self._lock:
            if self._next_attempt is None:
                return
            self._next_attempt = None
        _log.warning("requests are counted for all processes again")
