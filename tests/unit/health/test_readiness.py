"""One check of the dependencies runs at a time, and all callers share its result."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

from app.errors import Degraded, DependencyUnavailable
from app.health.readiness import (
    CACHED_SECONDS,
    RECENT_SECONDS,
    Ping,
    Readiness,
    SharedReadiness,
    State,
    Status,
    check_readiness,
)
from tests.conftest import NOW

SECONDS = 10.0


class Checks:
    """Checks that return ``state``, and block until they are released."""

    def __init__(self) -> None:
        self.count = 0
        self.state = "ok"
        self.has_begun, self.may_end = Event(), Event()
        self.time = 0.0
        self.shared = SharedReadiness(self._check, lambda: self.time)

    def _check(self, _before: Readiness | None) -> Readiness:
        self.count += 1
        self.has_begun.set()
        assert self.may_end.wait(SECONDS)
        return readiness(self.state)


def readiness(state: str) -> Readiness:
    is_ok = state == "ok"
    return Readiness({"worker": State(Status.OK if is_ok else Status.DOWN, "" if is_ok else state, 0.0, NOW)})


def test_while_a_check_waits_others_are_told_what_was_found_before() -> None:
    """They get it at once, without a check of their own; a caller after the check starts a new one."""
    checks = Checks()
    checks.may_end.set()
    assert readiness("ok") == checks.shared.now()
    checks.state = "does not answer"
    checks.has_begun.clear()
    checks.may_end.clear()
    checks.time += CACHED_SECONDS + 0.1
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(checks.shared.now)
        assert checks.has_begun.wait(SECONDS)
        assert [readiness("ok")] * 20 == [checks.shared.now() for _ in range(20)]
        checks.may_end.set()
        assert readiness("does not answer") == asking.result(SECONDS)
    assert checks.count == 2
    checks.time += CACHED_SECONDS + 0.1
    assert readiness("does not answer") == checks.shared.now()
    assert checks.count == 3


def test_a_result_is_told_for_two_seconds() -> None:
    """So that frequent callers do not load the dependencies."""
    checks = Checks()
    checks.may_end.set()
    for seconds, count in ((0, 1), (CACHED_SECONDS, 1), (0.1, 2), (1.0, 2)):
        checks.time += seconds
        assert readiness("ok") == checks.shared.now()
        assert checks.count == count


def test_what_was_found_long_ago_is_not_told() -> None:
    """Callers with no recent result wait for the running check."""
    checks = Checks()
    for state in ("ok", "does not answer"):
        checks.state = state
        with ThreadPoolExecutor(5) as pool:
            asking = [pool.submit(checks.shared.now) for _ in range(5)]
            assert checks.has_begun.wait(SECONDS)
            assert not any(each.done() for each in asking)
            checks.may_end.set()
            assert [readiness(state)] * 5 == [each.result(SECONDS) for each in asking]
        checks.has_begun.clear()
        checks.may_end.clear()
        checks.time += RECENT_SECONDS + 1


def test_since_when_a_dependency_has_its_status() -> None:
    """The beginning stays while the status does, also if the reason changes."""

    def check(at: int, ping: Ping, before: Readiness | None = None) -> Readiness:
        return check_readiness({"redis": ping}, NOW + timedelta(seconds=at), before=before)

    def fails(error: Exception) -> Ping:
        def ping() -> None:
            raise error

        return ping

    found = check(0, lambda: None)
    assert (found.status, found.dependencies["redis"].since) == ("ready", NOW)
    found = check(10, lambda: None, found)
    assert found.dependencies["redis"].since == NOW
    for at, reason in ((20, "refuses"), (30, "does not answer")):
        found = check(at, fails(DependencyUnavailable("redis", reason)), found)
        assert (found.status, found.ready, found.problems) == ("not ready", False, {"redis": reason})
        assert found.dependencies["redis"].since == NOW + timedelta(seconds=20)
    found = check(40, fails(Degraded("is nearly full")), found)
    assert (found.status, found.ready, found.problems) == ("degraded", True, {"redis": "is nearly full"})
    assert found.dependencies["redis"].since == NOW + timedelta(seconds=40)


def test_how_long_each_check_took() -> None:
    """Each ping alone, although all run at the same time."""
    found = check_readiness({"slow": lambda: time.sleep(0.2), "fast": lambda: None}, NOW).dependencies
    assert found["slow"].latency >= 0.2
    assert found["fast"].latency < found["slow"].latency
