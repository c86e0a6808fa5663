"""Certificates for tests: an authority, certificates it issues, and another authority that nobody should trust."""

import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.stack import wait_for

HANDSHAKE_SECONDS = 10.0  # it takes milliseconds


class Pair(NamedTuple):
    """The file paths of a certificate chain and its key."""

    certificate: str
    key: str


class Authority:
    """An authority that issues certificates into a folder. ``file`` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str) -> Pair:
        """A certificate for these hosts, for a server or a client."""
        issued = self._ca.issue_cert(*names, common_name=names[0])
        certificate, key = self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        # In PKCS #8 (RFC 5958), the only PEM format that Java reads.
        loaded = load_pem_private_key(issued.private_key_pem.bytes(), None)
        key.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Pair(str(certificate), str(key))


def old_tls(context: ssl.SSLContext) -> ssl.SSLContext:
    """Limit a context to TLS 1.1, which OpenSSL only allows at its lowest security level."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # intended here
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@contextmanager
def old_server(authority: Authority) -> Iterator[tuple[int, list[str | None]]]:
    """A server of 127.0.0.1 that speaks TLS 1.1 at most, shakes hands and says no more: its port, and the versions agreed on.

    One handshake is noted already, of a client that is content with that.
    """
    context = old_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    spoken: list[str | None] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:  # it was shut down
                return
            accepted.settimeout(HANDSHAKE_SECONDS)
            with suppress(OSError), context.wrap_socket(accepted, server_side=True) as speaking:
                spoken.append(speaking.version())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Thread(target=serve, args=[listener])
        serving.start()
        try:
            port: int = listener.getsockname()[1]
            content = old_tls(ssl.create_default_context(cafile=authority.file))
            with socket.create_connection(("127.0.0.1", port)) as plain:
                content.wrap_socket(plain, server_hostname="127.0.0.1").close()
            wait_for(lambda: spoken == ["TLSv1.1"], HANDSHAKE_SECONDS)
            yield port, spoken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()
