"""Sends a callback over HTTPS to an address that was checked, within a total time."""

import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from threading import Timer
from typing import Any, TypeAlias

from app.batches.receiver import is_refused, place
from app.config.batch_settings import networks
from app.config.settings import Settings
from app.errors import EngineError

# Family, kind, protocol, name and socket address, as ``socket.getaddrinfo`` gives them.
AddressInfo: TypeAlias = tuple[Any, ...]
Resolve: TypeAlias = Callable[[str, int], Sequence[AddressInfo]]


class NotSent(EngineError):
    """The receiver gave no answer, or is refused; the message says why, without the URL."""


class CallbackSender:
    """Posts to receivers. Thread-safe. It follows no redirect and uses no proxy, whatever the environment says."""

    def __init__(self, settings: Settings, resolve: Resolve | None = None) -> None:
        self._seconds = settings.callback_timeout_seconds
        self._late = f"no answer within {self._seconds:g} s"
        self._private_networks = networks(settings.callback_private_networks)
        self._context = ssl.create_default_context()  # the system's authorities; the certificate must be for the host's name
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.callback_ca_file:
            self._context.load_verify_locations(settings.callback_ca_file)
        self._resolve = resolve or _resolve

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post the body. Nothing of the answer's body is read.

        Returns:
            The status of the answer.

        Raises:
            NotSent: There is none within the time, or an address of the host is refused.
        """
        to = place(url)
        if to is None:
            raise NotSent("its URL is not valid")
        deadline = time.monotonic() + self._seconds
        connection = _CheckedConnection(self._addresses(to.host, to.port), to.host, to.port, self._context, deadline)
        try:
            connection.request("POST", to.path, body, dict(headers))
            status = connection.getresponse().status
        except (OSError, HTTPException, ValueError) as error:  # ValueError: the answer is malformed
            late = time.monotonic() >= deadline
            raise NotSent(self._late if late else _reason(error)) from None
        finally:
            connection.close()
        if time.monotonic() >= deadline:  # the rest of the answer's head was cut off
            raise NotSent(self._late)
        return status

    def _addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        """The addresses of a host. One that is refused refuses all: its owner decides which one is used."""
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise NotSent(f"its name cannot be resolved: {type(error).__name__}") from None
        if not found:
            raise NotSent("its name has no address")
        if any(is_refused(str(each[-1][0]), self._private_networks) for each in found):
            raise NotSent("its address is not public")
        return found


class _CheckedConnection(HTTPSConnection):
    """A connection to one of these addresses, with TLS for the host's name, which is closed at the deadline.

    A socket's own timeout would restart with each byte.
    """

    def __init__(
        self, addresses: Sequence[AddressInfo], host: str, port: int, context: ssl.SSLContext, deadline: float
    ) -> None:
        super().__init__(host, port, context=context)
        self._addresses = addresses
        self._tls = context
        self._deadline = deadline
        self._watchdog: Timer | None = None
        self._held: socket.socket | None = None

    def connect(self) -> None:
        plain = self._connected()
        self._held = plain.dup()  # TLS detaches the original socket
        self._watchdog = Timer(self._left(), _cut, [self._held])
        self._watchdog.daemon = True
        self._watchdog.start()
        plain.settimeout(self._left())
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def close(self) -> None:
        super().close()
        if self._watchdog is not None and self._held is not None:
            self._watchdog.cancel()
            _cut(self._held)

    def _connected(self) -> socket.socket:
        """A connection to the first address that accepts one; each gets its share of the time."""
        failure: OSError = TimeoutError()
        for tried, (family, kind, protocol, _, address) in enumerate(self._addresses):
            plain = socket.socket(family, kind, protocol)
            plain.settimeout(self._left() / (len(self._addresses) - tried))
            try:
                plain.connect(address)
            except OSError as error:
                plain.close()
                failure = error
            else:
                return plain
        raise failure

    def _left(self) -> float:
        return max(0.001, self._deadline - time.monotonic())


def _resolve(host: str, port: int) -> Sequence[AddressInfo]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _cut(held: socket.socket) -> None:
    with held, suppress(OSError):  # already closed
        held.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted, or is for another name"
    return type(error).__name__
