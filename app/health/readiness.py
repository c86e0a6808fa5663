"""Readiness: pings every dependency; the engine is ready when all answer."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
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

OK = "ok"
# A result of this age is still returned to concurrent callers while the next check runs. A check takes at most 2 to 3 s.
RECENT_SECONDS = 5.0


class Readiness(NamedTuple):
    """Whether every dependency answers, and each one's state: "ok" or the problem.

    ``degraded``: all may answer, but an operator must act.
    """

    ready: bool
    dependencies: dict[str, str]
    degraded: bool = False

    @property
    def status(self) -> str:
        """The readiness as one word for clients."""
        if not self.ready:
            return "not ready"
        return "degraded" if self.degraded else "ready"


def check_readiness(pings: Mapping[str, Ping], outages: Outages | None = None) -> Readiness:
    """Ping all dependencies concurrently, so that several timeouts take no longer than one.

    Callers that check repeatedly pass ``outages``, which logs the begin and end of outages.

    Returns:
        The readiness, with the state of every dependency.
    """
    with ThreadPoolExecutor(len(pings)) as pool:
        found = list(pool.map(lambda name: _state(name, pings[name], outages), pings))
    states = {name: state for name, (state, _) in zip(pings, found, strict=True)}
    return Readiness(all(answers for _, answers in found), states, degraded=any(state != OK for state in states.values()))


class SharedReadiness:
    """Runs one check at a time for concurrent callers, so that only one thread waits for a timeout. Thread-safe."""

    def __init__(self, check: Callable[[], Readiness], clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._clock = clock
        self._checking = Lock()
        self._found: tuple[float, Readiness] | None = None

    def now(self) -> Readiness:
        """Run a check and return its result; during a concurrent check, return the previous result if it is recent."""
        before = self._found
        is_recent = before is not None and self._clock() - before[0] <= RECENT_SECONDS
        if not self._checking.acquire(blocking=not is_recent) and before is not None:
            return before[1]
        try:
            if self._found is before or self._found is None:  # else another thread checked while we waited
                self._found = (self._clock(), self._check())
            return self._found[1]
        finally:
            self._checking.release()


def _state(name: str, ping: Ping, outages: Outages | None) -> tuple[str, bool]:
    """A dependency's state, and whether it answers."""
    try:
        ping()
    except DependencyUnavailable as error:
        if outages is not None:
            outages.gone(error, f"readiness of {name}")
        return error.state, False
    except Degraded as error:
        return str(error), True
    if outages is not None:
        outages.back(f"readiness of {name}")
    return OK, True


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
