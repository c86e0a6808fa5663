"""Ask every dependency whether it answers; the engine is ready when all do."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple, TypeAlias

import redis

from app.errors import Degraded, DependencyUnavailable
from app.events.bridges import HALTED, Bridges, BridgeState
from app.events.losses import Losses
from app.outage import Outages
from app.storage.keys import Keys

# A ping returns when all is well, and raises DependencyUnavailable or Degraded when it is not.
Ping: TypeAlias = Callable[[], None]

OK = "ok"
# What was found so long ago is still told to those who ask during the next check. A check takes 2 to 3 s at most.
RECENT_SECONDS = 5.0


class Readiness(NamedTuple):
    """Whether every dependency answers, and each one's state: "ok", or what is wrong with it.

    ``degraded``: all answer, but an operator has something to see to.
    """

    ready: bool
    dependencies: dict[str, str]
    degraded: bool = False

    @property
    def status(self) -> str:
        """The same in a word."""
        if not self.ready:
            return "not ready"
        return "degraded" if self.degraded else "ready"


def check_readiness(pings: Mapping[str, Ping], outages: Outages | None = None) -> Readiness:
    """Ping every dependency, whatever the others say; all at once, so that those which are silent are waited for together.

    What does not answer is noted in ``outages``, of whoever asks again and again.
    """
    with ThreadPoolExecutor(len(pings)) as pool:
        found = list(pool.map(lambda name: _state(name, pings[name], outages), pings))
    states = {name: state for name, (state, _) in zip(pings, found, strict=True)}
    return Readiness(all(answers for _, answers in found), states, degraded=any(state != OK for state in states.values()))


class SharedReadiness:
    """One check at a time, however many ask: a dependency that is away is waited for by one thread, not by all. Thread-safe."""

    def __init__(self, check: Callable[[], Readiness], clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._clock = clock
        self._checking = Lock()
        self._found: tuple[float, Readiness] | None = None

    def now(self) -> Readiness:
        """What a check finds; while another is under way, what the one before found, if that was recently."""
        before = self._found
        is_recent = before is not None and self._clock() - before[0] <= RECENT_SECONDS
        if not self._checking.acquire(blocking=not is_recent) and before is not None:
            return before[1]
        try:
            if self._found is before or self._found is None:  # else somebody has looked while we waited
                self._found = (self._clock(), self._check())
            return self._found[1]
        finally:
            self._checking.release()


def _state(name: str, ping: Ping, outages: Outages | None) -> tuple[str, bool]:
    """What is wrong with a dependency, and whether it answers all the same."""
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
    """Raise Degraded while events are missing that an operator has not acknowledged."""
    loss = losses.known()
    if loss.records and not loss.is_acknowledged:
        raise Degraded(f"lost: {loss}; see docs/lost-state.md, then `mastery bridge acknowledge-loss`")


def ping_redis(client: redis.Redis, key_prefix: str) -> None:
    """Raise DependencyUnavailable unless Redis takes a write: one that is full, or a replica, answers all else."""
    client.set(Keys(key_prefix).ready(), b"", px=1000)


def ping_bridge(bridges: Bridges) -> None:
    """Raise DependencyUnavailable unless a bridge reported within the last seconds that it runs, and none that it is halted."""
    states = {heartbeat.state for heartbeat in bridges.heartbeats().values()}
    if not states:
        raise DependencyUnavailable("bridge", "gives no sign of life")
    if BridgeState.HALTED in states:
        raise DependencyUnavailable("bridge", HALTED)
    if BridgeState.RUNNING not in states:
        raise DependencyUnavailable("bridge", f"is {min(states)}")
