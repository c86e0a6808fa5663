"""What a running stack says of itself in its data folder, so that other commands find it."""

import os
from pathlib import Path
from typing import Any

import msgspec
import requests
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from requests.adapters import HTTPAdapter

from app.config.settings import Settings
from app.errors import DependencyUnavailable, SettingsError
from app.logs import escaped

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

    def places(self) -> str:
        """Where a person finds its parts."""
        named = {
            "API": self.http_url,
            "docs": f"{self.http_url}/docs",
            "Flower": self.flower_url,
            "metrics": self.bridge_metrics_url,
        }
        return "  ".join(f"{name} {url}" for name, url in named.items())

    def is_ready(self) -> bool:
        """Whether the API answers that everything does; over HTTPS, whether it is this stack's that answers."""
        return self.lacking() is None

    def lacking(self) -> str | None:
        """What is not ready, in words; None when the API answers that everything is."""
        with requests.Session() as session:
            if self.http_cert_file:
                session.mount("https://", _OnlyWithThis(Path(self.http_cert_file)))
            try:
                # Whoever issued the certificate, and for whatever name: that it is this one says more.
                answer = session.get(f"{self.http_url}/ready", timeout=PING_SECONDS, verify=False)
            except requests.RequestException:  # not listening yet
                return "the API does not answer"
        return None if answer.ok else _reasons(answer)


def _reasons(answer: requests.Response) -> str:
    try:
        details = msgspec.json.decode(answer.content, type=_NotReady).error.details
    except msgspec.MsgspecError:
        details = {}
    return ", ".join(f"{name} {state}" for name, states in details.items() for state in states) or (
        f"the API answers with status {answer.status_code}"
    )


class _Error(msgspec.Struct):
    details: dict[str, list[str]]


class _NotReady(msgspec.Struct):
    error: _Error


class _OnlyWithThis(HTTPAdapter):
    """Talks to a server that has this very certificate, the first one in the file, and to no other."""

    def __init__(self, certificate: Path) -> None:
        self._fingerprint = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(SHA256()).hex()
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, assert_fingerprint=self._fingerprint)


def find_running_stack(folder: Path) -> RunningStack | None:
    """The stack that runs on a data folder, or None. Raises SettingsError when it is not to be known."""
    file = folder / FILE_NAME
    try:
        stack = msgspec.json.decode(file.read_bytes(), type=RunningStack)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):  # the last: a leftover of another version
        return None
    except OSError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: {escaped(str(file))} cannot be read: {error.strerror}") from error
    try:
        os.kill(stack.pid, 0)  # signals nothing, and fails for a process that crashed
    except ProcessLookupError:
        return None
    except PermissionError:  # it is there, and somebody else's
        pass
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
            raise DependencyUnavailable("no stack", f"runs on {escaped(str(settings.data_path))}; start one with `mastery up`")
        return settings
    return msgspec.structs.replace(
        settings,
        redis_url=settings.redis_url or stack.redis_url,
        broker_url=settings.broker_url or stack.broker_url,
        kafka_bootstrap=settings.kafka_bootstrap or stack.kafka_bootstrap,
    )
