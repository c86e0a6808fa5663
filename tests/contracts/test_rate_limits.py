"""The moving windows of callers, in Redis on every server, and in a process's memory."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import pytest

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from app.security.rate_limits import LocalWindows, RateLimit, RateLimiter, SharedWindows
from cli.stack.ports import claim_port
from tests.stack import wait_for

CALLER = ("t-1", "mastery:student:s-1")
MINUTE = RateLimit(50, "minute")


@pytest.fixture(params=["valkey", "redis", "memory"])
def windows(request: pytest.FixtureRequest) -> Iterator[SharedWindows | LocalWindows]:
    """Empty windows of each kind."""
    if request.param == "memory":
        yield LocalWindows()
        return
    url = request.getfixturevalue("redis_url" if request.param == "valkey" else "installed_redis")
    engine = bootstrap(load_settings({"MASTERY_REDIS_URL": url}))
    yield SharedWindows(engine.redis, f"test-{uuid4().hex[:12]}")
    engine.redis.close()


def test_a_limit(windows: SharedWindows | LocalWindows) -> None:
    """The limit's number of requests is granted, then none; the time at which the first one leaves is known."""
    for remaining in reversed(range(50)):
        assert windows.count(*CALLER, MINUTE)[:2] == (True, remaining)
    for _ in range(3):
        refused = windows.count(*CALLER, MINUTE)
        assert refused[:2] == (False, 0)
        assert 50 < refused.reset_seconds <= 60


@pytest.mark.parametrize(("period", "seconds"), [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)])
def test_periods(windows: SharedWindows | LocalWindows, period: str, seconds: int) -> None:
    """A request leaves the window after the limit's period."""
    assert seconds - 0.5 < windows.count(*CALLER, RateLimit(2, period)).reset_seconds <= seconds + 0.001


def test_the_window_moves(windows: SharedWindows | LocalWindows) -> None:
    """One that leaves makes room for one; rejected requests do not count."""
    limit = RateLimit(2, "second")
    first = time.monotonic()
    assert windows.count(*CALLER, limit).granted
    wait_for(lambda: time.monotonic() > first + 0.6, 2)
    second = time.monotonic()
    assert windows.count(*CALLER, limit).granted
    wait_for(lambda: windows.count(*CALLER, limit).granted, 2)  # rejected repeatedly
    assert first + 1 <= time.monotonic() + 0.002  # Redis counts milliseconds
    assert time.monotonic() < second + 0.9
    refused = windows.count(*CALLER, limit)
    assert not refused.granted
    assert refused.reset_seconds < 0.7  # then the second one leaves


def test_each_caller_has_a_window(windows: SharedWindows | LocalWindows) -> None:
    """Other callers, and one with the same name in another tenant, are not affected."""
    limit = RateLimit(1, "minute")
    assert windows.count(*CALLER, limit).granted
    assert not windows.count(*CALLER, limit).granted
    assert windows.count("t-2", CALLER[1], limit).granted
    assert windows.count("t-1", "mastery:teacher:s-1", limit).granted


def test_many_at_once(windows: SharedWindows | LocalWindows) -> None:
    """Concurrent requests do not exceed the limit."""
    with ThreadPoolExecutor(8) as threads:
        granted = list(threads.map(lambda _: windows.count(*CALLER, MINUTE).granted, range(200)))
    assert sum(granted) == 50


def test_a_lower_limit(windows: SharedWindows | LocalWindows) -> None:
    """If a limit is lowered, none is granted until enough requests have left the window."""
    for _ in range(5):
        windows.count(*CALLER, MINUTE)
    assert windows.count(*CALLER, RateLimit(3, "minute"))[:2] == (False, 0)


def test_what_is_in_redis(engine: Engine) -> None:
    """The key belongs to the tenant, expires by itself, and takes 11 bytes a request."""
    windows = SharedWindows(engine.redis, engine.settings.key_prefix)
    for _ in range(600):
        windows.count(*CALLER, RateLimit(600, "minute"))
    [key] = engine.redis.keys(f"{engine.settings.key_prefix}:*")
    assert key.decode() == f"{engine.settings.key_prefix}:{{t-1}}:rate:mastery:student:s-1"  # type: ignore[union-attr]
    assert 55_000 < engine.redis.pttl(key) <= 60_000
    assert (engine.redis.memory_usage(key, samples=0) or 0) in range(600 * 10, 600 * 11 + 500)


def test_without_redis() -> None:
    """The error says that Redis is unavailable, without the driver's message."""
    away = bootstrap(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"}))
    with pytest.raises(DependencyUnavailable, match=r"^redis is unavailable$"):
        SharedWindows(away.redis, "mastery").count(*CALLER, MINUTE)


def test_keys_are_read_along(redis_url: str) -> None:
    """The caller can read a tenant's keys in the same round trip; while Redis is unavailable, their values are unknown."""
    settings = load_settings({"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"})
    engine = bootstrap(settings)
    keys = [f"{settings.key_prefix}:{{t-1}}:{name}" for name in ("one", "none")]
    engine.redis.set(keys[0], "1")
    limiter = RateLimiter(SharedWindows(engine.redis, settings.key_prefix), LocalWindows())
    assert limiter.count(*CALLER, MINUTE, keys).values == [b"1", None]
    assert limiter.count(*CALLER, MINUTE).values == []
    engine.redis.close()
    with closing(bootstrap(load_settings({"MASTERY_REDIS_URL": "redis://127.0.0.1:1/0"})).redis) as away:
        assert RateLimiter(SharedWindows(away, "mastery"), LocalWindows()).count(*CALLER, MINUTE, keys).values is None


def test_a_hash_is_read_along(engine: Engine) -> None:
    """The caller can also read a hash of the tenant, which is returned if the request is granted."""
    windows, limit = SharedWindows(engine.redis, engine.settings.key_prefix), RateLimit(1, "minute")
    keys = [f"{engine.settings.key_prefix}:{{t-1}}:{name}" for name in ("string", "hash", "none")]
    engine.redis.set(keys[0], "1")
    engine.redis.hset(keys[1], mapping={"day": b"\x00\xff", "cohort": "c-1"})
    granted = windows.count(*CALLER, limit, keys[:1], keys[1])
    assert (granted.values, granted.fields) == ([b"1"], {b"day": b"\x00\xff", b"cohort": b"c-1"})
    refused = windows.count(*CALLER, limit, keys[:1], keys[1])
    assert (refused.granted, refused.values, refused.fields) == (False, [b"1"], None)
    assert windows.count("t-1", "another", limit, (), keys[2])[3:] == ([], {})
    assert windows.count("t-1", "a third", limit)[3:] == ([], None)
