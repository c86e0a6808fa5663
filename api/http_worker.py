"""gunicorn's worker process: an event loop collects whole requests and sends answers, threads compute them in between.

gunicorn's own workers read and write in the threads that answer: eight clients who send a byte now and then take all of them.
The rest is gunicorn's: its processes, its parser, its WSGI environment and responses. docs/decisions/0017 has the figures.
"""

import asyncio
import logging
import os
import signal
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import uvloop
from gunicorn import sock
from gunicorn.http import wsgi
from gunicorn.http.errors import (
    ExpectationFailed,
    InvalidHTTPVersion,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.parser import RequestParser
from gunicorn.workers.base import Worker

from api import refusals
from api.connections import Connection, Limits
from app.logs import frames

TICK_SECONDS = 1.0  # how late a connection may be given up; gunicorn wants to hear of its workers every 30 s
STOP_IDLE_SECONDS = 1.0  # so long a stopping process waits for requests that clients may have sent before they hear of it
STOP_TICK_SECONDS = 0.05
HANDSHAKE_SECONDS = 3.0  # of TLS: two or three exchanges. Until then a connection is not counted among the others
PIECE_BYTES = 8192  # as gunicorn reads from a socket
SERVER = "mastery"  # answers do not say what serves them

# What the parser finds wrong, where there is a better word for it than 400.
_STATUS: dict[type[Exception], int] = {
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
    InvalidHTTPVersion: 505,
}
_log = logging.getLogger(__name__)


class RequestPieces:
    """In place of a socket: what gunicorn reads, in pieces, since its parser copies the rest of one for every chunk in it."""

    def __init__(self, request: bytes) -> None:
        self._request, self._at = request, 0
        self._is_short = False

    @property
    def are_used_up(self) -> bool:
        """Whether the parser took all of it, and wanted no more."""
        return self._at >= len(self._request) and not self._is_short

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = self._request[self._at : self._at + PIECE_BYTES]
        self._at += len(piece)
        if not piece:
            self._is_short = True
            raise StopIteration
        return piece


class AnswerBytes:
    """In place of a socket: keeps what gunicorn sends."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self._parts.append(bytes(data))

    def send(self, data: bytes) -> int:
        """100 Continue, which the connection has sent when it was due."""
        return len(data)

    def joined(self) -> bytes:
        return b"".join(self._parts)


class HttpWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """One process. Its settings are gunicorn's, but for those that ``api/server.py`` makes from the engine's."""

    limits: Limits
    protection: Mapping[str, str]  # headers that every answer has

    def init_process(self) -> None:
        self._connections: set[Connection] = set()
        self._loop = uvloop.new_event_loop()
        self._stopped = asyncio.Event()
        self._threads = ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="answers")
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        self._loop.add_signal_handler(signal.SIGTERM, self._stopped.set)

    def run(self) -> None:
        """Serve until told to stop, or until the parent is gone."""
        self._loop.run_until_complete(self._serve())
        self._threads.shutdown(wait=False)

    async def _serve(self) -> None:
        context = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        servers = [await self._listen(listener, context) for listener in self.sockets]
        certificate = _Certificate(self.cfg)
        while not self._stopped.is_set() and self.ppid == os.getppid():
            self._tick()
            if context is not None:
                certificate.renew(context)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), TICK_SECONDS)
        self._stopped.set()
        for server in servers:
            server.close()
        await self._finish()

    async def _listen(self, listener: Any, context: ssl.SSLContext | None) -> asyncio.AbstractServer:
        seconds = None if context is None else min(HANDSHAKE_SECONDS, self.limits.request_seconds)
        return await self._loop.create_server(
            lambda: Connection(self, self._loop.time),
            sock=listener.sock,
            ssl=context,
            backlog=self.cfg.backlog,
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=None if context is None else self.limits.answer_seconds,  # it sends the answer's end
        )

    def _tick(self) -> None:
        """Tell gunicorn that we live, and give up the connections whose time is over."""
        self.notify()
        now = self._loop.time()
        for connection in list(self._connections):
            if connection.deadline is not None and connection.deadline <= now:
                connection.expire()

    async def _finish(self) -> None:
        """Let requests in hand be answered, for as long as gunicorn grants."""
        now = self._loop.time()
        while self._connections and self._loop.time() < now + self.cfg.graceful_timeout:
            for connection in self._connections:
                connection.stop(now + STOP_IDLE_SECONDS)
            self._tick()
            await asyncio.sleep(STOP_TICK_SECONDS)

    def opened(self, connection: Connection) -> None:
        """Keep it; where there are too many, at the cost of one that had its last answer, or waits for its client."""
        if len(self._connections) >= self.cfg.worker_connections:
            closing = [each for each in self._connections if each.is_closing]
            waiting = closing or [each for each in self._connections if each.is_waiting]
            given_up = min(waiting, key=lambda each: each.deadline or 0.0, default=connection)
            self._connections.discard(given_up)  # it is gone a moment later, when others may have come
            given_up.abort()
            if given_up is connection:
                return
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def waiting_bytes(self) -> int:
        return sum(connection.waiting_bytes for connection in self._connections)

    def refusal(self, status: int, reason: str) -> bytes:
        return refusals.refusal(status, reason, self.protection)

    def answer(self, connection: Connection, *, is_last: bool) -> None:
        self._threads.submit(self._compute, connection, is_last=is_last)

    def _compute(self, connection: Connection, *, is_last: bool) -> None:
        """Answer a request, in a thread. Whatever goes wrong, the client hears of it: this is the thread's outermost edge."""
        request, connection.request = connection.request, b""
        if not request:
            return  # its client has left while others had their turn
        try:
            answer, goes_on = self._handle(connection, request, is_last=is_last)
        except (ParseException, NoMoreData) as error:
            is_cut_head = isinstance(error, NoMoreData) and len(request) > self.limits.head_bytes
            status = 431 if is_cut_head else _STATUS.get(type(error), 400)
            answer, goes_on = self.refusal(status, type(error).__name__), False  # its words quote what was sent
        except Exception as error:  # noqa: BLE001
            _log.error("the server failed: %s", frames(error))
            answer, goes_on = self.refusal(500, type(error).__name__), False
        with suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
            self._loop.call_soon_threadsafe(partial(connection.send, answer, goes_on=goes_on and not is_last))

    def _handle(self, connection: Connection, request: bytes, *, is_last: bool) -> tuple[bytes, bool]:
        """The answer, and whether the connection may be used again."""
        pieces, sent = RequestPieces(request), AnswerBytes()
        parser = RequestParser(self.cfg, pieces, connection.peer)
        message = next(parser)
        response, environ = wsgi.create(message, sent, connection.peer, connection.server, self.cfg)
        response.version = SERVER
        environ["wsgi.multithread"] = True
        try:
            body = self.wsgi(environ, response.start_response)
            goes_on = _is_used_up(parser, pieces) and not is_last and not self._stopped.is_set()
            if not goes_on:
                response.force_close()
            with closing(body) if hasattr(body, "close") else nullcontext():
                for part in body:
                    response.write(part)
                response.close()
        finally:
            environ.clear()  # Werkzeug's request and it refer to each other: its body would wait for the garbage collector
        return sent.joined(), goes_on and not response.should_close()


def _is_used_up(parser: RequestParser, pieces: RequestPieces) -> bool:
    """Whether the parser sees the request's end where we do. If not, what comes after it is no request."""
    try:
        return parser.finish_body() and not parser.unreader.take_buffered() and pieces.are_used_up
    except (ParseException, NoMoreData):  # of what nobody has read yet
        return False


class _Certificate:
    """The files of the API's certificate: a renewed one counts within a second, for whoever connects then."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg
        self._seen = self._state() if cfg.is_ssl else None
        self._is_good = True

    def renew(self, context: ssl.SSLContext) -> None:
        """Take the files into use if they have changed and go together; until then the certificate from before counts."""
        try:
            self._take(context)
        except OSError as error:  # which an SSLError is; the files are being replaced, one by one
            if self._is_good:
                _log.warning("the certificate cannot be renewed yet: %s", type(error).__name__)
            self._is_good = False
            return
        if not self._is_good:
            _log.warning("the certificate's files are good again")
        self._is_good = True

    def _take(self, context: ssl.SSLContext) -> None:
        state = self._state()
        if state != self._seen:
            sock.ssl_context(self._cfg)  # raises for what cannot be used
            context.load_cert_chain(self._cfg.certfile, self._cfg.keyfile)
            self._seen = state

    def _state(self) -> list[tuple[int, int, int]]:
        stats = [Path(name).stat() for name in (self._cfg.certfile, self._cfg.keyfile)]
        return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in stats]
