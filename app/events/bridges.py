"""What the bridges say of themselves."""

import time
from enum import StrEnum
from typing import cast

import msgspec
import redis

from app.errors import DependencyUnavailable
from app.storage.keys import Keys

# A bridge reports every second; one that has not for so long does not work.
SILENT_SECONDS = 10
HALTED = "is halted: too many invalid records; see its log, then `mastery bridge resume`"


class BridgeState(StrEnum):
    """What a bridge is doing."""

    JOINING = "joining"  # the consumer group
    RUNNING = "running"  # or holding back until the workers have caught up
    WAITING = "waiting"  # for a dependency that is away
    HALTED = "halted"  # by poison: too many invalid records, until an operator resumes it


class Heartbeat(msgspec.Struct, frozen=True):
    """What a bridge last said of itself: its state, what it read and rejected, and when, in seconds since 1970-01-01."""

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
        """Say that a bridge is alive."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.sadd(self._keys.bridges(), name)
        pipeline.set(self._keys.bridge(name), msgspec.json.encode(heartbeat), ex=SILENT_SECONDS)
        pipeline.execute()

    def leave(self, name: str) -> None:
        """Say that a bridge has ended in order."""
        self._redis.delete(self._keys.bridge(name))
        self._redis.srem(self._keys.bridges(), name)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """What each living bridge last said; those that fell silent are forgotten."""
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
