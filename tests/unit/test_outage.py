"""An unavailable dependency is logged once, and once when it is back, however many parts of a process use it."""

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
    """A clock in seconds that tests advance."""
    now = [100.0]
    monkeypatch.setattr("app.outage.time.monotonic", lambda: now[0])
    return now


def test_a_line_when_it_goes_and_one_when_it_is_back(
    outages: Outages, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """The lines have the cause and the duration; there is none in between, and none for other dependencies."""
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
    """Reads succeed on a Redis that rejects writes: it counts as back when every part that failed has succeeded."""
    for who in ("writer", "reader", "writer"):
        outages.gone(unavailable(), who)
    outages.back("reader")
    outages.back("another")
    assert len(caplog.messages) == 1
    outages.back("writer")
    assert len(caplog.messages) == 2


def test_who_asks_no_more_is_forgotten(outages: Outages, clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """A route that is never called again does not keep a dependency unavailable."""
    outages.gone(unavailable(), "a rare route")
    clock[0] += FORGOTTEN_SECONDS
    outages.back("another")
    assert len(caplog.messages) == 2


def test_the_one_to_blame_is_told(outages: Outages, caplog: pytest.LogCaptureFixture) -> None:
    """A failure caused by another dependency is not an outage of its own."""
    outages.gone(unavailable(unavailable(), "audit trail"), "api")
    outages.gone(unavailable(dependency="kafka"), "api")
    assert [each.partition(" ")[0] for each in caplog.messages] == ["redis", "kafka"]
    outages.back("api")
    assert len(caplog.messages) == 4
