"""The engine's processes, each started and killed separately. No supervisor restarts them."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from tasks.queues import QUEUES
from tests.chaos.broker import Broker
from tests.chaos.process import Part
from tests.chaos.valkey import Fsync, Valkey
from tests.stack import without_settings


class Cluster:
    """Valkey, worker, beat and one or two bridges in a folder, on a given Kafka broker."""

    def __init__(self, folder: Path, broker: Broker, fsync: Fsync) -> None:
        self.fsync = fsync
        self.broker = broker
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.valkey = Valkey(folder / "valkey", fsync, self.logs)
        environment = {
            **without_settings(measured=False),  # killed processes would leave incomplete files
            "MASTERY_DATA_DIR": str(folder),
            "MASTERY_REDIS_URL": self.valkey.url,
            "MASTERY_BROKER_URL": self.valkey.url,
            "MASTERY_REDIS_REWRITE": "off",  # beat does it at its start; see valkey.py
            "MASTERY_KAFKA_BOOTSTRAP": broker.bootstrap_servers,
            "MASTERY_KEY_PREFIX": "chaos",
            # Timeouts after a fault; the defaults suit a machine that is not under such load.
            "MASTERY_CHUNK_OVERDUE_SECONDS": "5",
            "MASTERY_KAFKA_SESSION_SECONDS": "6",
            "PYTHONUNBUFFERED": "1",
        }
        self.settings = load_settings(environment)
        celery = [sys.executable, "-m", "celery", "--app", "tasks.celery"]
        queues = ",".join(QUEUES)

        def part(name: str, *command: str) -> Part:
            return Part(name, command, environment, self.logs)

        self.worker = part("worker", *celery, "worker", "--concurrency", "2", "--queues", queues)
        self.beat = part("beat", *celery, "beat")
        self.bridge = part("bridge", sys.executable, "-m", "consumers")
        self.second_bridge = part("second-bridge", sys.executable, "-m", "consumers")

    def __enter__(self) -> "Cluster":
        try:
            self.start()
            self.engine: Engine = bootstrap(self.settings)
        except BaseException:
            self._put_away()
            raise
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.engine.redis.close()
        self._put_away()

    def start(self) -> None:
        """Start everything that one bridge needs, in parallel, like a booting machine; return when Valkey responds."""
        for part in (self.valkey, *self._clients()):
            part.start()
        self.valkey.wait_until_loaded()

    def stop(self) -> str:
        """SIGTERM to everything, and Valkey last, so that the others can finish their work. Returns how long it took."""
        clients = [part for part in self.parts() if part is not self.valkey and part.is_started]
        began = time.monotonic()
        for part in clients:
            part.terminate()
        told = []
        for part in clients:
            part.wait()
            told.append(f"{part.name} by {time.monotonic() - began:.1f} s")
        self.valkey.terminate()
        self.valkey.wait()
        return ", ".join(told)

    def kill(self) -> None:
        """SIGKILL to all processes, one right after the other."""
        for part in self.parts():
            if part.is_started:
                part.kill()

    def parts(self) -> Iterator[Part]:
        """All processes, running or not."""
        yield self.valkey
        yield from self._clients()
        yield self.second_bridge

    def supervise(self) -> str:
        """Restart a worker that exited by itself; returns a line for the log. Fails if any other part has exited.

        Celery relies on a supervisor if a process dies before the worker is up ("Could not start worker processes"), and if
        the connection to the broker is lost at a bad time (kombu restores messages over a connection that it has given up).
        """
        for part in self.parts():
            code = part.exit_code()
            if code is None:
                continue
            assert part is self.worker, f"{part.name} ended by itself, with exit code {code}"
            part.put_away()
            part.start()
            return f"the worker ended by itself, with exit code {code}, and is started again"
        return ""

    def _clients(self) -> tuple[Part, ...]:
        return self.worker, self.beat, self.bridge

    def _put_away(self) -> None:
        for part in self.parts():
            part.put_away()
