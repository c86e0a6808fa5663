"""A private Redis that can be made to reject commands in every way in which a real one does."""

import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Thread

import redis

from cli.stack.ports import claim_port
from tests.stack import wait_for

SECONDS = 30.0
NOWHERE = 1  # a port on which no master listens
FULL_BYTES = 20_000  # what the append-only file may grow to: a disk of this size
SLOW_KEYS, KEY_BYTES, KEY_MICROSECONDS = 20_000, 1_000, 1_000  # loading takes 20 s, or until it is told to speed up


class Refuses(StrEnum):
    """What a server rejects in some state."""

    ALL = "all"
    WRITES = "writes"
    GROWTH = "growth"  # writes that may need memory; others are accepted


class Ailing:
    """The server's process."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.port = claim_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "enable-protected-configs": "yes",
            "enable-debug-command": "local",
            "rdbcompression": "no",
            "loading-process-events-interval-bytes": "1024",
        }
        self._command = [binary, *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._folder = folder
        self.admin = redis.Redis(port=self.port, socket_timeout=SECONDS)
        self.start()

    def start(self) -> None:
        """Start a process on the server's data."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            # A write above the file size limit is then an error, as on a full disk, instead of killing the process.
            preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),  # noqa: PLW1509 - no other thread runs yet
        )
        wait_for(self._answers, SECONDS)

    def restart(self) -> None:
        """Stop the process cleanly, and start another on its data."""
        self._process.terminate()
        self._process.wait(SECONDS)
        self.start()

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._process.kill()
        self._process.wait(SECONDS)

    def stop(self) -> None:
        """Stop the server permanently."""
        self.admin.close()
        self.kill()

    def _answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except redis.RedisError:
            return False

    @contextmanager
    def too_few_replicas(self) -> Iterator[None]:
        """NOREPLICAS."""
        with self._configured("min-replicas-to-write", "1", "0"):
            yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """OOM."""
        with self._configured("maxmemory", "1", "0"):
            yield

    @contextmanager
    def failed_save(self) -> Iterator[None]:
        """MISCONF: the last background save failed, since no user can write to its folder."""
        with self._configured("save", "3600 1", ""), self._configured("dir", "/proc", str(self._folder)):
            self.admin.bgsave()
            wait_for(lambda: self.admin.info("persistence")["rdb_last_bgsave_status"] == "err", SECONDS)
            yield
        self.admin.bgsave()
        wait_for(lambda: self.admin.info("persistence")["rdb_last_bgsave_status"] == "ok", SECONDS)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """MISCONF for another reason: the append-only file cannot grow."""
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
        try:
            self.admin.set("padding", b"x" * FULL_BYTES)
            wait_for(lambda: self.admin.info("persistence")["aof_last_write_status"] == "err", SECONDS)
            yield
        finally:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_for(lambda: self.admin.info("persistence")["aof_last_write_status"] == "ok", SECONDS)

    @contextmanager
    def a_replica(self) -> Iterator[None]:
        """READONLY."""
        self.admin.replicaof("127.0.0.1", NOWHERE)
        yield
        self.admin.replicaof("NO", "ONE")

    @contextmanager
    def an_orphan(self) -> Iterator[None]:
        """MASTERDOWN."""
        with self._configured("replica-serve-stale-data", "no", "yes"), self.a_replica():
            yield

    @contextmanager
    def without_rights(self) -> Iterator[None]:
        """NOPERM, directly and from a script."""
        self.admin.acl_setuser("default", enabled=True, categories=["-@write"])
        yield
        self.admin.acl_setuser("default", enabled=True, categories=["+@all"])

    @contextmanager
    def busy(self) -> Iterator[None]:
        """BUSY: a script takes long."""

        def run() -> None:
            with redis.Redis(port=self.port, socket_timeout=None) as client:
                try:
                    client.eval("while true do end", 0)
                except redis.ResponseError:
                    return  # it was killed

        with self._configured("busy-reply-threshold", "1", "5000"):
            running = Thread(target=run)
            running.start()
            wait_for(lambda: not self._answers(), SECONDS)
            yield
            self.admin.script_kill()
            running.join(SECONDS)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """LOADING: reading the stored data takes long."""
        self._debug("POPULATE", SLOW_KEYS, "filler", KEY_BYTES)

        def load() -> None:
            self._debug("RELOAD")

        with self._configured("key-load-delay", str(KEY_MICROSECONDS), "0"):
            running = Thread(target=load)
            running.start()
            wait_for(lambda: not self._answers(), SECONDS)
            yield
        running.join(SECONDS)

    def _debug(self, *words: str | int) -> None:
        with redis.Redis(port=self.port, socket_timeout=None) as client:
            client.execute_command("DEBUG", *words)

    @contextmanager
    def _configured(self, name: str, value: str, usual: str) -> Iterator[None]:
        self.admin.config_set(name, value)
        try:
            yield
        finally:
            self.admin.config_set(name, usual)


State = Callable[[Ailing], AbstractContextManager[None]]
STATES: dict[str, tuple[State, Refuses]] = {
    "noreplicas": (Ailing.too_few_replicas, Refuses.WRITES),
    "oom": (Ailing.full, Refuses.GROWTH),
    "misconf-rdb": (Ailing.failed_save, Refuses.WRITES),
    "misconf-aof": (Ailing.full_disk, Refuses.WRITES),
    "readonly": (Ailing.a_replica, Refuses.WRITES),
    "masterdown": (Ailing.an_orphan, Refuses.ALL),
    "noperm": (Ailing.without_rights, Refuses.WRITES),
    "busy": (Ailing.busy, Refuses.ALL),
    "loading": (Ailing.loading, Refuses.ALL),
}
