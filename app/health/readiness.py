"""Ask every dependency whether it answers; the engine is ready when all do."""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from app.errors import DependencyUnavailable
from app.events.store import RUNNING, EventStore

# A ping returns when all is well, and raises DependencyUnavailable when it is not.
Ping: TypeAlias = Callable[[], None]

OK = "ok"
_log = logging.getLogger(__name__)


class Readiness(NamedTuple):
    """Whether all is well, and each dependency's state: "ok", or what is wrong with it."""

    ready: bool
    dependencies: dict[str, str]


def check_readiness(pings: Mapping[str, Ping]) -> Readiness:
    """Ping every dependency, whatever the others say."""
    states = {name: _state(name, ping) for name, ping in pings.items()}
    return Readiness(all(state == OK for state in states.values()), states)


def _state(name: str, ping: Ping) -> str:
    try:
        ping()
    except DependencyUnavailable as error:
        _log.warning("not ready: %s %s", name, error.state, exc_info=error.__cause__)
        return error.state
    return OK


def ping_bridge(events: EventStore) -> None:
    """Raise DependencyUnavailable unless the bridge reported within the last seconds that it runs."""
    heartbeat = events.heartbeat()
    if heartbeat is None:
        raise DependencyUnavailable("bridge", "gives no sign of life")
    if heartbeat.state != RUNNING:
        raise DependencyUnavailable("bridge", f"is {heartbeat.state}")
