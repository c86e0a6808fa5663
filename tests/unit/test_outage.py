"""A dependency that is away is told once, and once that it is back, however many parts of a process ask it."""

import logging

import pytest

from app.errors import DependencyUnavailable
from app.outage import FORGOTTEN_SECONDS, Outages

GONE = "redis is unavailable; retrying: "


def unavailable(cause: Exception | None = None, dependency: str = "redis") -> DependencyUnavailable:
    error = DependencyUnavailable(dependency)
    error.__cause__ = cause
    return error


@pytest.fixture
def outages() -> Outages:
    return Outages(logging.getLogger("test"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, which a test lets pass."""
    now = [100.0]
    monkeypatch.setattr("app.outage.time.monotonic", lambda: now[0])
    return now


def test_a_line_when_it_goes_and_one_when_it_is_back(
    outages: Outages, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """With the cause, and after how long; nothing in between, and nothing of what was never away."""
    outages.back("bridge")
    for _ in range(3):
        outages.gone(unavailable(ConnectionError("refused")), "bridge")
        clock[0] += 1
    outages.back("bridge")
    outages.back("bridge")
    outages.gone(unavailable(), "bridge")
    assert [
        f"{GONE}redis is unavailable (refused)",
        "redis is available again after 3.0 s",
        f"{GONE}redis is unavailable",
    ] == caplog.messages


def test_it_is_back_for_whoever_missed_it(outages: Outages, caplog: pytest.LogCaptureFixture) -> None:
    """A part that reads is answered by a Redis that takes no writes: that it is back is said when all are answered."""
    for who in ("writer", "reader", "writer"):
        outages.gone(unavailable(), who)
    outages.back("reader")
    outages.back("another")
    assert len(caplog.messages) == 1
    outages.back("writer")
    assert len(caplog.messages) == 2


def test_who_asks_no_more_is_forgotten(outages: Outages, clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """A route that nobody calls again does not keep a dependency away for ever."""
    outages.gone(unavailable(), "a rare route")
    clock[0] += FORGOTTEN_SECONDS
    outages.back("another")
    assert len(caplog.messages) == 2


def test_the_one_to_blame_is_told(outages: Outages, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be done because another dependency is away is no outage of its own."""
    outages.gone(unavailable(unavailable(), "audit trail"), "api")
    outages.gone(unavailable(dependency="kafka"), "api")
    assert [each.partition(" ")[0] for each in caplog.messages] == ["redis", "kafka"]
    outages.back("api")
    assert len(caplog.messages) == 4
