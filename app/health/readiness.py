"""Readiness: pings every dependency; the engine is ready when all answer."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import NamedTuple, TypeAlias

import redis

from app.errors import Degraded, DependencyUnavailable
from app.events.bridge_heartbeats import HALTED, Bridges, BridgeState
from app.events.losses import Losses
from app.outage import Outages
from app.storage.keys import Keys

# A ping raises DependencyUnavailable or Degraded on failure.
Ping: TypeAlias = Callable[[], None]

# A result of this age is returned without another check, so that a frequent caller cannot load the dependencies.
CACHED_SECONDS = 2.0
# A result of this age is still returned to concurrent callers while the next check runs. A check takes at most 2 to 3 s.
RECENT_SECONDS = 5.0


class Status(StrEnum):
    """Of a dependency. ``degraded``: it answers, but an operator must act."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


class State(NamedTuple):
    """A dependency, as a check found it.

    Attributes:
        status: whether it answers.
        problem: what is wrong; "" if nothing is.
        latency: seconds that the ping took.
        since: since when it has this status, as far as this process has checked.
    """

    status: Status
    problem: str
    latency: float
    since: datetime


class Readiness(NamedTuple):
    """Whether every dependency answers, and the state of each."""

    dependencies: Mapping[str, State]

    @property
    def ready(self) -> bool:
        """Whether all answer."""
        return all(state.status is not Status.DOWN for state in self.dependencies.values())

    @property
    def status(self) -> str:
        """The readiness as one word for clients."""
        if not self.ready:
            return "not ready"
        return "degraded" if self.problems else "ready"

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by dependency."""
        return {name: state.problem for name, state in self.dependencies.items() if state.problem}


def check_readiness(
    pings: Mapping[str, Ping], now: datetime, *, outages: Outages | None = None, before: Readiness | None = None
) -> Readiness:
    """Ping all dependencies concurrently, so that several timeouts take no longer than one.

    Callers that check repeatedly pass ``outages``, which logs the begin and end of outages, and what they found ``before``.

    Returns:
        The readiness, with the state of every dependency.
    """
    with ThreadPoolExecutor(len(pings)) as pool:
        found = list(pool.map(lambda name: _state(name, pings[name], now, outages), pings))
    earlier = {} if before is None else before.dependencies
    return Readiness({name: _continued(state, earlier.get(name)) for name, state in zip(pings, found, strict=True)})


class SharedReadiness:
    """Runs one check at a time for concurrent callers, so that only one thread waits for a timeout. Thread-safe."""

    def __init__(self, check: Callable[[Readiness | None], Readiness], clock: Callable[[], float] = time.monotonic) -> None:
        """``check`` gets what the check before it has found; ``clock`` is in seconds."""
        self._check = check
        self._clock = clock
        self._checking = Lock()
        self._found: tuple[float, Readiness] | None = None

    def now(self) -> Readiness:
        """Run a check and return its result, or a result of the last two seconds; during a check, one that is recent."""
        before = self._found
        age = float("inf") if before is None else self._clock() - before[0]
        if before is not None and age <= CACHED_SECONDS:
            return before[1]
        if not self._checking.acquire(blocking=age > RECENT_SECONDS) and before is not None:
            return before[1]
        try:
            if self._found is before or self._found is None:  # else another thread checked while we waited
                self._found = (self._clock(), self._check(None if before is None else before[1]))
            return self._found[1]
        finally:
            self._checking.release()


def _state(name: str, ping: Ping, now: datetime, outages: Outages | None) -> State:
    began = time.monotonic()
    try:
        ping()
    except DependencyUnavailable as error:
        if outages is not None:
            outages.gone(error, f"readiness of {name}")
        return State(Status.DOWN, error.state, time.monotonic() - began, now)
    except Degraded as error:
        return State(Status.DEGRADED, str(error), time.monotonic() - began, now)
    if outages is not None:
        outages.back(f"readiness of {name}")
    return State(Status.OK, "", time.monotonic() - began, now)


def _continued(state: State, before: State | None) -> State:
    """A state that lasts since an earlier check has its beginning."""
    return state if before is None or before.status is not state.status else state._replace(since=before.since)


def ping_state(losses: Losses) -> None:
    """Raise Degraded while an operator has not acknowledged lost events."""
    loss = losses.known()
    if loss.records and not loss.is_acknowledged:
        raise Degraded(f"lost: {loss}; see docs/lost-state.md, then `mastery bridge acknowledge-loss`")


def ping_redis(client: redis.Redis, key_prefix: str) -> None:
    """Raise DependencyUnavailable unless Redis accepts a write; a full server or a replica still answers reads."""
    client.set(Keys(key_prefix).ready(), b"", px=1000)


def ping_bridge(bridges: Bridges) -> None:
    """Raise DependencyUnavailable unless a bridge recently reported that it is running, and none that it is halted."""
    states = {heartbeat.state for heartbeat in bridges.heartbeats().values()}
    if not states:
        raise DependencyUnavailable("bridge", "gives no sign of life")
    if BridgeState.HALTED in states:
        raise DependencyUnavailable("bridge", HALTED)
    if BridgeState.RUNNING not in states:
        raise DependencyUnavailable("bridge", f"is {min(states)}")
