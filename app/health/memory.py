"""How full Redis is, and a word before it is full: then it refuses whatever would take memory."""

import logging
from typing import NamedTuple, cast

import redis

_log = logging.getLogger(__name__)


class Memory(NamedTuple):
    """Bytes that Redis uses, and may use: its ``maxmemory``, or without one what its machine has."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """How full it is; 1 is full. 0 where the limit is not known."""
        return self.used / self.limit if self.limit else 0.0


def memory_of(client: redis.Redis) -> Memory:
    """How full the server is. Raises DependencyUnavailable when it does not answer."""
    told = cast("dict[str, int]", client.info("memory"))
    return Memory(int(told["used_memory"]), int(told["maxmemory"]) or int(told.get("total_system_memory", 0)))


class MemoryWatch:
    """Says once that Redis is nearly full, and once that it is not any more."""

    def __init__(self, client: redis.Redis, warning_share: float) -> None:
        self._redis = client
        self._warning_share = warning_share
        self.is_nearly_full = False

    def look(self) -> Memory:
        """Look, and say what has changed. Raises DependencyUnavailable when Redis does not answer."""
        memory = memory_of(self._redis)
        was, self.is_nearly_full = self.is_nearly_full, memory.share >= self._warning_share
        if self.is_nearly_full and not was:
            _log.error("redis is nearly full: %d of %d MB; when it is full, nothing is recorded", *_megabytes(memory))
        if was and not self.is_nearly_full:
            _log.warning("redis has room again: it uses %d of %d MB", *_megabytes(memory))
        return memory


def _megabytes(memory: Memory) -> tuple[int, int]:
    return memory.used // 1_000_000, memory.limit // 1_000_000
