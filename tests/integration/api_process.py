"""The API alone, as it is deployed, for tests over sockets.

It has few threads and connections and short timeouts, so that a few sockets and seconds are enough for a test.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
import requests

from app.config.settings import load_settings
from app.roles import Role
from app.security.tokens import development_token
from benchmarks.stacks import PROJECT
from cli.stack.ports import claim_port
from tests.stack import RAISED_LIMITS, wait_for

THREADS, CONNECTIONS, REQUEST_SECONDS = 2, 40, 3
READY_SECONDS, STOP_SECONDS = 30.0, 15.0
PATIENCE_SECONDS = 2.0  # less than any timeout for clients


class ApiProcess:
    """The API alone, as it is deployed, on a Valkey.

    A given ``listener`` is bound to its host and port; ``options`` are gunicorn's, and override those of ``api/server.py``.
    """

    def __init__(
        self, environment: dict[str, str], log: Path, listener: socket.socket | None = None, options: Sequence[str] = ()
    ) -> None:
        self.settings = load_settings(environment)
        self.log = log
        with log.open("ab") as out:
            command = [sys.executable, "-m", "gunicorn", "--config", "python:api.server", *options]
            files = [listener.fileno()] if listener else []
            command += [f"--bind=fd://{each}" for each in files]
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env={**os.environ, **environment}, stdout=out, stderr=out, pass_fds=files
            )
        host, scheme = self.settings.http_host, "https" if self.settings.http_cert_file else "http"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.settings.http_port}"

    @property
    def authorization(self) -> dict[str, str]:
        token = development_token(self.settings, role=Role.ADMIN, tenant="t-1", subject="tester", now=datetime.now(UTC))
        return {"Authorization": f"Bearer {token}"}

    def connect(self) -> socket.socket:
        return socket.create_connection((self.settings.http_host, self.settings.http_port), timeout=READY_SECONDS)

    def talk(self, *parts: bytes) -> bytes:
        """Send this, and read until the API closes the connection."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=PATIENCE_SECONDS).ok
        except requests.RequestException:
            return False

    def resident_bytes(self) -> int:
        processes = [self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children())]
        return max(psutil.Process(pid).memory_info().rss for pid in processes)


@contextmanager
def api_process(
    folder: Path, redis_url: str, listener: socket.socket | None = None, options: Sequence[str] = (), **variables: str
) -> Iterator[ApiProcess]:
    """Run an API while the context lasts."""
    environment = {
        **RAISED_LIMITS,
        "MASTERY_REDIS_URL": redis_url,
        "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:1",  # where nothing listens: no event is sent
        "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}",
        "MASTERY_DATA_DIR": str(folder),
        "MASTERY_HTTP_PORT": str(listener.getsockname()[1] if listener else claim_port()),
        "MASTERY_HTTP_THREADS": str(THREADS),
        "MASTERY_HTTP_CONNECTIONS": str(CONNECTIONS),
        "MASTERY_HTTP_REQUEST_SECONDS": str(REQUEST_SECONDS),
        **variables,
    }
    api = ApiProcess(environment, folder / "api.log", listener, options)
    try:
        wait_for(lambda: api.process.poll() is not None or api.answers(), READY_SECONDS)
        assert api.process.poll() is None, api.log.read_text()
        yield api
    finally:
        api.process.terminate()
        try:
            api.process.wait(STOP_SECONDS)
        finally:
            api.process.kill()
