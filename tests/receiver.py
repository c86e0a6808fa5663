"""The receiver of callbacks, as a tenant runs it: an HTTPS server of 127.0.0.1 that answers as a test says."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from standardwebhooks import Webhook

from tests.certificates import Authority

NAME = "localhost"


class Message(NamedTuple):
    """A request: its path, its headers (their names in lower case) and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The content. Raises WebhookVerificationError unless the secret signed it, just now."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Notes what it gets, and answers with the next of ``statuses``, the last one again and again.

    ``headers`` are added to each answer. If it ``hangs``, it answers only when ``goes_on`` is set. With ``drip`` seconds, each
    byte of an endless head comes so long after the one before; with ``body_drip``, those of an endless body.
    """

    def __init__(self, authority: Authority) -> None:
        self.messages: list[Message] = []
        self.statuses = [204]
        self.headers: dict[str, str] = {}
        self.hangs = False
        self.goes_on = Event()
        self.drip = 0.0
        self.body_drip = 0.0
        self.names: list[str | None] = []  # for which certificates were asked: SNI
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(NAME, "127.0.0.1"))
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self.url = f"https://{NAME}:{self.port}/ended?batch=1"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of senders that do not trust it, or give up."""


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, *arguments: Any) -> None:
        self._receiver = receiver
        super().__init__(*arguments)

    def do_POST(self) -> None:
        receiver, body = self._receiver, self.rfile.read(int(self.headers["Content-Length"]))
        receiver.messages.append(Message(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status = receiver.statuses[0] if len(receiver.statuses) == 1 else receiver.statuses.pop(0)
        if receiver.hangs:
            receiver.goes_on.wait()
        with suppress(OSError):  # the sender has gone
            self._answer(status)

    def _answer(self, status: int) -> None:
        receiver = self._receiver
        if receiver.drip:
            self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000, receiver.drip)
        self.send_response(status)
        for name, value in {"Content-Length": "100000" if receiver.body_drip else "0", **receiver.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if receiver.body_drip:
            self._drip(b"x" * 100_000, receiver.body_drip)

    def _drip(self, text: bytes, pause: float) -> None:
        for byte in text:
            self.wfile.write(bytes([byte]))
            time.sleep(pause)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving(folder: Path) -> Iterator[tuple[Receiver, Authority]]:
    """A receiver, and the authority that issued its certificate."""
    authority = Authority(folder)
    receiver = Receiver(authority)
    try:
        yield receiver, authority
    finally:
        receiver.stop()
