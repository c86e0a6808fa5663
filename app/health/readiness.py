"""Ask every dependency whether it answers; the engine is ready when all do."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from app.errors import DependencyUnavailable
from app.events.bridges import HALTED, Bridges, BridgeState

# A ping returns when all is well, and raises DependencyUnavailable when it is not.
Ping: TypeAlias = Callable[[], None]

OK = "ok"
_log = logging.getLogger(__name__)


class Readiness(NamedTuple):
    """Whether all is well, and each dependency's state: "ok", or what is wrong with it."""

    ready: bool
    dependencies: dict[str, str]


def check_readiness(pings: Mapping[str, Ping]) -> Readiness:
    """Ping every dependency, whatever the others say; all at once, so that those which are silent are waited for together."""
    with ThreadPoolExecutor(len(pings)) as pool:
        states = dict(zip(pings, pool.map(_state, pings, pings.values()), strict=True))
    return Readiness(all(state == OK for state in states.values()), states)


def _state(name: str, ping: Ping) -> str:
    try:
        ping()
    except DependencyUnavailable as error:
        _log.warning("not ready: %s %s", name, error.state, exc_info=error.__cause__)
        return error.state
    return OK


def ping_bridge(bridges: Bridges) -> None:
    """Raise DependencyUnavailable unless a bridge reported within the last seconds that it runs, and none that it is halted."""
    states = {heartbeat.state for heartbeat in bridges.heartbeats().values()}
    if not states:
        raise DependencyUnavailable("bridge", "gives no sign of life")
    if BridgeState.HALTED in states:
        raise DependencyUnavailable("bridge", HALTED)
    if BridgeState.RUNNING not in states:
        raise DependencyUnavailable("bridge", f"is {min(states)}")
