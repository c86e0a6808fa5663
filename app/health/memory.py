"""Redis's memory usage, and a warning before Redis is full and rejects writes."""

import logging
from typing import NamedTuple, cast

import redis

_log = logging.getLogger(__name__)


class Memory(NamedTuple):
    """Bytes that Redis uses, and its limit: ``maxmemory``, or without one the machine's memory."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """The used share, 0 to 1; 0 if the limit is unknown."""
        return self.used / self.limit if self.limit else 0.0


def memory_of(client: redis.Redis) -> Memory:
    """The server's memory usage. Raises DependencyUnavailable when it does not answer."""
    info = cast("dict[str, int]", client.info("memory"))
    return Memory(int(info["used_memory"]), int(info["maxmemory"]) or int(info.get("total_system_memory", 0)))


class MemoryWatch:
    """Logs once when Redis becomes nearly full, and once when it has room again."""

    def __init__(self, client: redis.Redis, warning_share: float) -> None:
        self._redis = client
        self._warning_share = warning_share
        self.is_nearly_full = False

    def look(self) -> Memory:
        """Check the memory and log a change. Raises DependencyUnavailable when Redis does not answer."""
        memory = memory_of(self._redis)
        was, self.is_nearly_full = self.is_nearly_full, memory.share >= self._warning_share
        if self.is_nearly_full and not was:
            _log.error("redis is nearly full: %d of %d MB; when it is full, nothing is recorded", *_megabytes(memory))
        if was and not self.is_nearly_full:
            _log.warning("redis has room again: it uses %d of %d MB", *_megabytes(memory))
        return memory


def _megabytes(memory: Memory) -> tuple[int, int]:
    return memory.used // 1_000_000, memory.limit // 1_000_000
