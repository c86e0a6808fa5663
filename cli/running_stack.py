"""What a running stack says of itself in its data folder, so that other commands find it."""

import os
from pathlib import Path
from typing import Any

import msgspec
import requests
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from requests.adapters import HTTPAdapter

from app.errors import DependencyUnavailable
from app.settings import Settings

FILE_NAME = "stack.json"
PING_SECONDS = 5.0


class RunningStack(msgspec.Struct, frozen=True):
    """Where a stack's parts are."""

    pid: int
    http_url: str
    flower_url: str
    redis_url: str
    broker_url: str
    kafka_bootstrap: str
    bridge_metrics_url: str
    http_cert_file: str = ""  # what the API shows, where it speaks HTTPS

    def write(self, folder: Path) -> None:
        """Say so in the data folder, at once for whoever reads meanwhile."""
        draft = folder / f"{FILE_NAME}.draft"
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(folder / FILE_NAME)

    def is_ready(self) -> bool:
        """Whether the API answers that everything does; over HTTPS, whether it is this stack's that answers."""
        with requests.Session() as session:
            if self.http_cert_file:
                session.mount("https://", _OnlyWithThis(Path(self.http_cert_file)))
            try:
                # Whoever issued the certificate, and for whatever name: that it is this one says more.
                return session.get(f"{self.http_url}/ready", timeout=PING_SECONDS, verify=False).ok
            except requests.RequestException:  # not listening yet
                return False


class _OnlyWithThis(HTTPAdapter):
    """Talks to a server that has this very certificate, the first one in the file, and to no other."""

    def __init__(self, certificate: Path) -> None:
        self._fingerprint = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(SHA256()).hex()
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, assert_fingerprint=self._fingerprint)


def find_running_stack(folder: Path) -> RunningStack | None:
    """The stack that runs on a data folder, or None."""
    try:
        stack = msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=RunningStack)
        os.kill(stack.pid, 0)  # signals nothing, and fails for a process that is gone without a farewell
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stack


def settings_of_running_stack(settings: Settings, *, required: bool = True) -> Settings:
    """The settings, with the places of the stack that runs on their data folder where they name none.

    Raises DependencyUnavailable where neither says where Redis and Kafka are, if that is required.
    """
    if settings.redis_url and settings.kafka_bootstrap:
        return settings
    stack = find_running_stack(settings.data_path)
    if stack is None:
        if required:
            raise DependencyUnavailable("no stack", f"runs on {settings.data_path}; start one with `mastery up`")
        return settings
    return msgspec.structs.replace(
        settings,
        redis_url=settings.redis_url or stack.redis_url,
        broker_url=settings.broker_url or stack.broker_url,
        kafka_bootstrap=settings.kafka_bootstrap or stack.kafka_bootstrap,
    )
