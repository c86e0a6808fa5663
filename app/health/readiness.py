"""Ask every dependency whether it answers; the engine is ready when all do."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import redis

from app.errors import Degraded, DependencyUnavailable
from app.events.bridges import HALTED, Bridges, BridgeState
from app.events.losses import Losses
from app.redis_client import translated_errors

# A ping returns when all is well, and raises DependencyUnavailable or Degraded when it is not.
Ping: TypeAlias = Callable[[], None]

OK = "ok"
_log = logging.getLogger(__name__)


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


def check_readiness(pings: Mapping[str, Ping]) -> Readiness:
    """Ping every dependency, whatever the others say; all at once, so that those which are silent are waited for together."""
    with ThreadPoolExecutor(len(pings)) as pool:
        found = list(pool.map(_state, pings, pings.values()))
    states = {name: state for name, (state, _) in zip(pings, found, strict=True)}
    return Readiness(all(answers for _, answers in found), states, degraded=any(state != OK for state in states.values()))


def _state(name: str, ping: Ping) -> tuple[str, bool]:
    """What is wrong with a dependency, and whether it answers all the same."""
    try:
        ping()
    except DependencyUnavailable as error:
        _log.warning("not ready: %s %s", name, error.state, exc_info=error.__cause__)
        return error.state, False
    except Degraded as error:
        return str(error), True
    return OK, True


def ping_state(losses: Losses) -> None:
    """Raise Degraded while events are missing that an operator has not acknowledged."""
    loss = losses.known()
    if loss.records and not loss.is_acknowledged:
        raise Degraded(f"lost: {loss}; see docs/lost-state.md, then `mastery bridge acknowledge-loss`")


def ping_redis(client: redis.Redis, key_prefix: str) -> None:
    """Raise DependencyUnavailable unless Redis takes a write: one that is full, or a replica, answers all else."""
    with translated_errors():
        client.set(f"{key_prefix}:ready", b"", px=1000)


def ping_bridge(bridges: Bridges) -> None:
    """Raise DependencyUnavailable unless a bridge reported within the last seconds that it runs, and none that it is halted."""
    states = {heartbeat.state for heartbeat in bridges.heartbeats().values()}
    if not states:
        raise DependencyUnavailable("bridge", "gives no sign of life")
    if BridgeState.HALTED in states:
        raise DependencyUnavailable("bridge", HALTED)
    if BridgeState.RUNNING not in states:
        raise DependencyUnavailable("bridge", f"is {min(states)}")
