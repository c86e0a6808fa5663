"""One check of the dependencies runs at a time, and all callers share its result."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from app.health.readiness import RECENT_SECONDS, Readiness, SharedReadiness

SECONDS = 10.0


class Checks:
    """Checks that return ``state``, and block until they are released."""

    def __init__(self) -> None:
        self.count = 0
        self.state = "ok"
        self.has_begun, self.may_end = Event(), Event()
        self.time = 0.0
        self.shared = SharedReadiness(self._check, lambda: self.time)

    def _check(self) -> Readiness:
        self.count += 1
        self.has_begun.set()
        assert self.may_end.wait(SECONDS)
        return readiness(self.state)


def readiness(state: str) -> Readiness:
    return Readiness(state == "ok", {"worker": state})


def test_while_a_check_waits_others_are_told_what_was_found_before() -> None:
    """They get it at once, without a check of their own; a caller after the check starts a new one."""
    checks = Checks()
    checks.may_end.set()
    assert readiness("ok") == checks.shared.now()
    checks.state = "does not answer"
    checks.has_begun.clear()
    checks.may_end.clear()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(checks.shared.now)
        assert checks.has_begun.wait(SECONDS)
        assert [readiness("ok")] * 20 == [checks.shared.now() for _ in range(20)]
        checks.may_end.set()
        assert readiness("does not answer") == asking.result(SECONDS)
    assert checks.count == 2
    assert readiness("does not answer") == checks.shared.now()
    assert checks.count == 3


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
