"""What the engine keeps about the events stream itself: dead letters counted, and the bridge's sign of life."""

from typing import NamedTuple, cast

import msgspec
import redis

from app.events.dead_letter import ErrorType
from app.redis_client import translated_errors

# The bridge reports every second; after this long without a report it does not work.
HEARTBEAT_TTL_SECONDS = 10


# What the bridge may be doing: joining the consumer group, bridging, or waiting for a dependency that is away.
JOINING, RUNNING, WAITING = "joining", "running", "waiting"


class Heartbeat(NamedTuple):
    """What the bridge last said of itself."""

    state: str
    records: int
    dead_letters: int


class EventStore:
    """Counters and heartbeat of the bridge. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._dead_letters = f"{key_prefix}:dead-letters"
        self._heartbeat = f"{key_prefix}:bridge:heartbeat"

    def count_dead_letters(self, counts: dict[ErrorType, int]) -> None:
        """Add to the number of dead letters of each error type."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=True)
            for error_type, count in counts.items():
                pipeline.hincrby(self._dead_letters, error_type.value, count)
            pipeline.execute()

    def dead_letters(self) -> dict[ErrorType, int]:
        """How many events were dead-lettered, by error type, since the store was created."""
        with translated_errors():
            counts = cast("dict[bytes, bytes]", self._redis.hgetall(self._dead_letters))
        return {ErrorType(name.decode()): int(count) for name, count in counts.items()}

    def report_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Say that the bridge is alive."""
        with translated_errors():
            self._redis.set(self._heartbeat, msgspec.json.encode(heartbeat), ex=HEARTBEAT_TTL_SECONDS)

    def heartbeat(self) -> Heartbeat | None:
        """What the bridge said within the last seconds, or None."""
        with translated_errors():
            report = cast("bytes | None", self._redis.get(self._heartbeat))
        return msgspec.json.decode(report, type=Heartbeat) if report else None
