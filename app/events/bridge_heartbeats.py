"""Heartbeats of the bridges."""

import time
from enum import StrEnum
from typing import cast

import msgspec
import redis

from app.errors import DependencyUnavailable
from app.storage.keys import Keys

# A bridge reports every second; without a report for this long it counts as dead.
SILENT_SECONDS = 10
HALTED = "is halted: too many invalid records; see its log, then `mastery bridge resume`"


class BridgeState(StrEnum):
    """The state of a bridge."""

    JOINING = "joining"  # the consumer group
    RUNNING = "running"  # or paused by backpressure until the workers have caught up
    WAITING = "waiting"  # for an unavailable dependency
    HALTED = "halted"  # too many invalid records; an operator must resume it


class Heartbeat(msgspec.Struct, frozen=True):
    """A bridge's last report: state, number of records read and rejected, and time in seconds since 1970-01-01."""

    state: BridgeState
    records: int
    rejected: int
    at: float = msgspec.field(default_factory=time.time)


class Bridges:
    """Heartbeats of the bridges, by name. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def report(self, name: str, heartbeat: Heartbeat) -> None:
        """Store the heartbeat of a bridge."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.sadd(self._keys.bridges(), name)
        pipeline.set(self._keys.bridge(name), msgspec.json.encode(heartbeat), ex=SILENT_SECONDS)
        pipeline.execute()

    def leave(self, name: str) -> None:
        """Remove a bridge that shut down properly."""
        self._redis.delete(self._keys.bridge(name))
        self._redis.srem(self._keys.bridges(), name)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """The last heartbeat of each live bridge; removes the names of dead ones."""
        names = [name.decode() for name in cast("set[bytes]", self._redis.smembers(self._keys.bridges()))]
        reports = cast("list[bytes | None]", self._redis.mget(map(self._keys.bridge, names))) if names else []
        silent = [name for name, report in zip(names, reports, strict=True) if report is None]
        if silent:
            self._redis.srem(self._keys.bridges(), *silent)
        return {
            name: msgspec.json.decode(report, type=Heartbeat) for name, report in zip(names, reports, strict=True) if report
        }

    def require_not_halted(self) -> None:
        """Raise DependencyUnavailable when a bridge is halted."""
        if any(heartbeat.state is BridgeState.HALTED for heartbeat in self.heartbeats().values()):
            raise DependencyUnavailable("bridge", HALTED)
