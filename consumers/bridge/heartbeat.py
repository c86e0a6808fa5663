"""The bridge's heartbeat, in Redis and as a file: that it is alive, and its state."""

import logging
import socket
import time
from pathlib import Path
from uuid import uuid4

from app.bootstrap import Engine
from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.bridge_heartbeats import BridgeState, Heartbeat
from app.health.memory import MemoryWatch
from app.storage.private_files import touch

HEARTBEAT_SECONDS = 1.0
# Outbox entries (up to 50 changes each) and dead letters that wait for Kafka, about 15 MB in Redis. Above it, reading pauses.
WAITING_MARK = 5_000
MEMORY_SECONDS = 10.0  # between checks of Redis' memory; about 100 MB of growth at full speed

_log = logging.getLogger(__name__)


def heartbeat_file(settings: Settings) -> Path:
    """The file that a bridge with these settings touches once a second."""
    return Path(settings.bridge_heartbeat_file or settings.data_path / "bridge.heartbeat")


class HeartbeatReporter:
    """Reports the heartbeat of one bridge."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name = f"{socket.gethostname()}-{uuid4().hex[:8]}"
        settings = engine.settings
        self._file = heartbeat_file(settings)
        self._records = self._rejected = 0
        self._next = self._next_memory = 0.0
        self._memory = MemoryWatch(engine.redis, settings.redis_warning_share)
        self.state = BridgeState.JOINING
        self.is_full = False  # too much waits for delivery to Kafka: reading should pause

    def count(self, records: int, rejected: int) -> None:
        """Add to the numbers of records taken and rejected."""
        self._records += records
        self._rejected += rejected

    def is_due(self) -> bool:
        """Whether a second has passed since the last report."""
        return time.monotonic() >= self._next

    def report(self, state: BridgeState | None = None) -> None:
        """Write the heartbeat, with the given temporary state or else ``self.state``."""
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
        """Remove the heartbeat, as the bridge ends regularly."""
        try:
            self._engine.bridges.leave(self._name)
        except DependencyUnavailable as error:
            _log.info("%s; the heartbeat will expire", error)
        self._file.unlink(missing_ok=True)

    def _touch(self) -> None:
        try:
            touch(self._file)
        except OSError as error:
            _log.warning("the heartbeat file cannot be touched: %s", error.strerror)
