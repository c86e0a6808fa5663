"""How the bridge shows that it lives and what it does: its heartbeat, in Redis and as a file."""

import logging
import socket
import time
from pathlib import Path
from uuid import uuid4

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.bridges import BridgeState, Heartbeat
from app.health.memory import MemoryWatch
from app.storage.private_files import touch

HEARTBEAT_SECONDS = 1.0
# Entries (of up to 50 changes each) and dead letters that wait for Kafka: some 15 MB of Redis. Making more can wait.
WAITING_MARK = 5_000
MEMORY_SECONDS = 10.0  # between looks at how full Redis is: at full speed that is some 100 MB

_log = logging.getLogger(__name__)


class HeartbeatReporter:
    """Of one bridge."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name = f"{socket.gethostname()}-{uuid4().hex[:8]}"
        settings = engine.settings
        self._file = Path(settings.bridge_heartbeat_file or settings.data_path / "bridge.heartbeat")
        self._records = self._rejected = 0
        self._next = self._next_memory = 0.0
        self._memory = MemoryWatch(engine.redis, settings.redis_warning_share)
        self.state = BridgeState.JOINING
        self.is_full = False  # so much waits to be delivered to Kafka that no more should be made

    def count(self, records: int, rejected: int) -> None:
        """So many records were taken, so many of them rejected."""
        self._records += records
        self._rejected += rejected

    def is_due(self) -> bool:
        """Whether a second has passed since the last report."""
        return time.monotonic() >= self._next

    def report(self, state: BridgeState | None = None) -> None:
        """Say what the bridge does: its own state, or one of the moment."""
        self._next = time.monotonic() + HEARTBEAT_SECONDS
        self._touch()
        try:
            self._engine.bridges.report(self._name, Heartbeat(state or self.state, self._records, self._rejected))
            entries = self._engine.outbox.entries(self._engine.mastery.tenants.all())
            waiting = sum(entries.values()) + self._engine.ledger.letters_waiting()
            if time.monotonic() >= self._next_memory:
                self._next_memory = time.monotonic() + MEMORY_SECONDS
                self._memory.look()
        except DependencyUnavailable as error:
            self._engine.outages.gone(error, "heartbeat")
        else:
            self._engine.outages.back("heartbeat")
            self.is_full = waiting > WAITING_MARK

    def stop(self) -> None:
        """Say that the bridge has ended in order."""
        try:
            self._engine.bridges.leave(self._name)
        except DependencyUnavailable as error:
            _log.info("%s; the heartbeat runs out by itself", error)
        self._file.unlink(missing_ok=True)

    def _touch(self) -> None:
        try:
            touch(self._file)
        except OSError as error:
            _log.warning("the heartbeat file cannot be touched: %s", error.strerror)
