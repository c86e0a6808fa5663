"""The description of a running stack in its data folder, by which other commands find it."""

import dataclasses
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
    """The addresses of a stack's parts."""

    pid: int
    http_url: str
    flower_url: str
    redis_url: str
    broker_url: str
    kafka_bootstrap: str
    bridge_metrics_url: str
    http_cert_file: str = ""  # the API's certificate, if it uses HTTPS

    def write(self, folder: Path) -> None:
        """Write this to the data folder, atomically for concurrent readers."""
        draft = folder / f"{FILE_NAME}.draft"
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(folder / FILE_NAME)

    def places(self) -> str:
        """The addresses for users, on one line."""
        named = {
            "API": self.http_url,
            "docs": f"{self.http_url}/docs",
            "Flower": self.flower_url,
            "metrics": self.bridge_metrics_url,
        }
        return "  ".join(f"{name} {url}" for name, url in named.items())

    def is_ready(self) -> bool:
        """Whether the API reports ready, over HTTPS only with this stack's certificate."""
        return self.why_not_ready() is None

    def why_not_ready(self) -> str | None:
        """What is not ready, in words; None when the API reports ready."""
        return why_not_well(f"{self.http_url}/ready", self.http_cert_file)


def why_not_well(url: str, cert_file: str) -> str | None:
    """Ask an API of this machine at ``/ready`` or ``/health``; over HTTPS, it must have the certificate in the file.

    Returns:
        What is wrong, in words; None if the API answers with success.
    """
    with requests.Session() as session:
        try:
            if cert_file:
                session.mount("https://", _OnlyWithThis(Path(cert_file)))
            # No verification of issuer and name: the fingerprint identifies the certificate.
            answer = session.get(url, timeout=PING_SECONDS, verify=False)
        except requests.RequestException:  # not listening yet
            return "the API does not answer"
        except (OSError, ValueError):  # the file is being replaced, say
            return "the API's certificate cannot be read"
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
    """Accepts only servers with the first certificate in this file."""

    def __init__(self, certificate: Path) -> None:
        self._fingerprint = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(SHA256()).hex()
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, assert_fingerprint=self._fingerprint)


def find_running_stack(folder: Path) -> RunningStack | None:
    """The stack that runs on a data folder, or None. Raises SettingsError when its description cannot be read."""
    file = folder / FILE_NAME
    try:
        stack = msgspec.json.decode(file.read_bytes(), type=RunningStack)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):  # MsgspecError: a file of another version
        return None
    except OSError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: {escaped(str(file))} cannot be read: {error.strerror}") from error
    try:
        os.kill(stack.pid, 0)  # only checks whether the process exists
    except ProcessLookupError:
        return None
    except PermissionError:  # it exists, and belongs to another user
        pass
    return stack


def settings_of_running_stack(settings: Settings, *, required: bool = True) -> Settings:
    """Complete the settings with the addresses of the stack that runs on their data folder.

    Returns:
        The settings, unchanged if they have the addresses of Redis and Kafka, or if no stack runs.

    Raises:
        DependencyUnavailable: no stack runs, and ``required``.
    """
    if settings.redis_url and settings.kafka_bootstrap:
        return settings
    stack = find_running_stack(settings.data_path)
    if stack is None:
        if required:
            raise DependencyUnavailable("no stack", f"runs on {escaped(str(settings.data_path))}; start one with `mastery up`")
        return settings
    return dataclasses.replace(
        settings,
        redis_url=settings.redis_url or stack.redis_url,
        broker_url=settings.broker_url or stack.broker_url,
        kafka_bootstrap=settings.kafka_bootstrap or stack.kafka_bootstrap,
    )
