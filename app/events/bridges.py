"""What the bridges say of themselves, and what an operator tells them."""

import time
from enum import StrEnum
from typing import cast

import msgspec
import redis

from app.redis_client import translated_errors

# A bridge reports every second; one that has not for so long does not work.
SILENT_SECONDS = 10.0


class BridgeState(StrEnum):
    """What a bridge is doing."""

    JOINING = "joining"  # the consumer group
    RUNNING = "running"  # or holding back until the workers have caught up
    WAITING = "waiting"  # for a dependency that is away
    HALTED = "halted"  # by a flood of invalid records, until an operator resumes it


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
        self._heartbeats = f"{key_prefix}:{{.events}}:bridges"
        self._resumed = f"{key_prefix}:{{.events}}:resumed"

    def report(self, name: str, heartbeat: Heartbeat) -> None:
        """Say that a bridge is alive."""
        with translated_errors():
            self._redis.hset(self._heartbeats, name, msgspec.json.encode(heartbeat))

    def leave(self, name: str) -> None:
        """Say that a bridge has ended in order."""
        with translated_errors():
            self._redis.hdel(self._heartbeats, name)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """What each living bridge last said; those that fell silent are forgotten."""
        with translated_errors():
            reports = cast("dict[bytes, bytes]", self._redis.hgetall(self._heartbeats))
            told = {name.decode(): msgspec.json.decode(report, type=Heartbeat) for name, report in reports.items()}
            oldest = time.time() - SILENT_SECONDS
            silent = [name for name, heartbeat in told.items() if heartbeat.at < oldest]
            if silent:
                self._redis.hdel(self._heartbeats, *silent)
        return {name: heartbeat for name, heartbeat in told.items() if heartbeat.at >= oldest}

    def resume(self) -> None:
        """Tell halted bridges to go on."""
        with translated_errors():
            self._redis.set(self._resumed, time.time())

    def resumed_at(self) -> float:
        """When halted bridges were last told to go on, in seconds since 1970-01-01; 0: never."""
        with translated_errors():
            told = cast("bytes | None", self._redis.get(self._resumed))
        return float(told) if told else 0.0
