"""Parsing of rate limits, and counting within one process."""

import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.roles import Role
from app.security import rate_limits as module
from app.security.rate_limits import LocalWindows, RateLimit, RateLimiter, SharedWindows, rate_limits
from cli.stack.ports import claim_port


class Clock:
    """A clock in seconds that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("text", ["50/minute", " 50/minute"])
def test_one_limit_for_all(text: str) -> None:
    """A single limit is for every role, and for callers without one."""
    assert set(rate_limits(text).values()) == {RateLimit(50, "minute")}
    assert set(rate_limits(text)) == {None, *Role}


def test_limits_of_roles() -> None:
    """A role may have its own limit; the first limit is for all others."""
    limits = rate_limits("50/minute, admin=600/hour,service=7/day")
    assert limits[Role.ADMIN] == RateLimit(600, "hour")
    assert limits[Role.SERVICE] == RateLimit(7, "day")
    assert {limits[None], limits[Role.STUDENT], limits[Role.TEACHER]} == {RateLimit(50, "minute")}


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5))
def test_no_period_has_more_than_the_limit(pauses: list[float], requests: int) -> None:
    """In any period no more requests than the limit are granted, and none is rejected needlessly."""
    clock = Clock()
    windows, granted = LocalWindows(clock), list[float]()
    for pause in pauses:
        clock.now += pause
        counted = [moment for moment in granted if clock.now - 60 < moment]
        allowance = windows.count("t-1", "s-1", RateLimit(requests, "minute"))
        assert allowance.granted == (len(counted) < requests)
        granted += [clock.now] * allowance.granted
        assert allowance.remaining == requests - len(counted) - allowance.granted
    assert all(late - early >= 60 for early, late in zip(granted, granted[requests:], strict=False))
    assert all(early <= late for early, late in pairwise(granted))


def test_callers_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the maximum number of callers, the one with the oldest request is forgotten."""
    monkeypatch.setattr(module, "LOCAL_CALLERS", 2)
    windows, limit = LocalWindows(), RateLimit(2, "minute")

    def remaining(caller: str) -> int:
        return windows.count("t-1", caller, limit).remaining

    assert [remaining(caller) for caller in ("a", "b", "a", "c")] == [1, 1, 0, 1]
    assert not windows.count("t-1", "a", limit).granted
    assert remaining("b") == 1  # c came after it


def test_a_pause_between_attempts(caplog: pytest.LogCaptureFixture) -> None:
    """While Redis is unavailable a process counts alone, retries once a second, and logs it once, without personal data."""
    clock = Clock()
    away = bootstrap(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"}))
    attempts: list[float] = []

    class Watched(SharedWindows):
        def count(self, *arguments: object) -> module.Allowance:
            attempts.append(clock.now)
            return super().count(*arguments)  # type: ignore[arg-type]

    limiter = RateLimiter(Watched(away.redis, "mastery"), LocalWindows(clock), clock)
    limit = RateLimit(3, "minute")
    with caplog.at_level(logging.INFO):
        granted = []
        for moment in (0.0, 0.1, 0.9, 0.99, 1.0, 1.5, 2.1):
            clock.now = 1000 + moment
            granted.append(limiter.count("t-1", "mastery:student:s-1", limit).granted)
    assert granted == [True] * 3 + [False] * 4
    assert [round(moment - 1000, 2) for moment in attempts] == [0, 1.0, 2.1]
    (line,) = caplog.messages
    assert line.startswith("redis is unavailable: this process counts requests alone (Error 111 connecting to ")
