"""gunicorn's worker process: an event loop reads complete requests and sends answers; threads compute the answers.

gunicorn's own workers read and write in the answering threads: eight slow clients occupy all of them. Everything else is
gunicorn's: processes, parser, WSGI environment and responses. docs/decisions/0017 has the measurements.
"""

import asyncio
import logging
import os
import signal
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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

from api import server_refusals
from api.connections import SERVICE_UNAVAILABLE, Connection, Limits
from api.streams import Stream, Streams, streams, write
from app.errors import DependencyUnavailable
from app.logs import frames

TICK_SECONDS = 1.0  # precision of deadlines; gunicorn needs a heartbeat every 30 s
STOP_IDLE_SECONDS = 1.0  # how long a stopping process waits for requests that are already on their way
STOP_TICK_SECONDS = 0.05
HANDSHAKE_SECONDS = 3.0  # of TLS, two or three round trips; connections are only counted afterwards
PIECE_BYTES = 8192  # as gunicorn reads from a socket
SERVER = "mastery"  # hides the server software

# The parser's errors with another status than 400.
_STATUS: dict[type[Exception], int] = {
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
    InvalidHTTPVersion: 505,
}
_log = logging.getLogger(__name__)


class RequestPieces:
    """Replaces the socket that gunicorn reads. In pieces, since its parser copies the rest of a piece for every chunk in it."""

    def __init__(self, request: bytes) -> None:
        self._request, self._at = request, 0
        self._is_short = False

    @property
    def are_used_up(self) -> bool:
        """Whether the parser read everything and did not try to read more."""
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
    """Replaces the socket that gunicorn writes: collects the answer."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self._parts.append(bytes(data))

    def send(self, data: bytes) -> int:
        """Ignore 100 Continue, which the connection has already sent."""
        return len(data)

    def joined(self) -> bytes:
        return b"".join(self._parts)


class HttpWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """A worker process, configured by gunicorn and by the attributes that ``api/server.py`` sets."""

    limits: Limits
    protection: Mapping[str, str]  # security headers of every answer
    streams: int  # answers that may stream at a time

    def init_process(self) -> None:
        self._connections: set[Connection] = set()
        self._loop = uvloop.new_event_loop()
        self._stopped = asyncio.Event()
        self._threads = ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="answers")
        self._streams = Streams(self.streams)
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        self._loop.add_signal_handler(signal.SIGTERM, self._stopped.set)

    def run(self) -> None:
        """Serve until SIGTERM or the end of the parent process."""
        self._loop.run_until_complete(self._serve())
        self._threads.shutdown(wait=False)
        self._streams.stop()

    async def _serve(self) -> None:
        context = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        servers = [await self._listen(listener, context) for listener in self.sockets]
        certificate = _Certificate(self.cfg)
        while not self._stopped.is_set() and self.ppid == os.getppid():
            self._tick()
            if context is not None:
                certificate.reload(context)
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
            ssl_shutdown_timeout=None
            if context is None
            else self.limits.answer_seconds,  # includes sending the end of the answer
        )

    def _tick(self) -> None:
        """Send the heartbeat to gunicorn, and expire connections."""
        self.notify()
        now = self._loop.time()
        for connection in list(self._connections):
            if connection.deadline is not None and connection.deadline <= now:
                connection.expire()

    async def _finish(self) -> None:
        """Answer the current requests, within gunicorn's graceful timeout."""
        now = self._loop.time()
        while self._connections and self._loop.time() < now + self.cfg.graceful_timeout:
            for connection in self._connections:
                connection.stop(now + STOP_IDLE_SECONDS)
            self._tick()
            await asyncio.sleep(STOP_TICK_SECONDS)

    def opened(self, connection: Connection) -> None:
        """Add a connection. At the limit, abort one that is closing or waits for its client, or else the new one."""
        if len(self._connections) >= self.cfg.worker_connections:
            closing = [each for each in self._connections if each.is_closing]
            waiting = closing or [each for each in self._connections if each.is_waiting]
            victim = min(waiting, key=lambda each: each.deadline or 0.0, default=connection)
            self._connections.discard(victim)  # connection_lost is called later, when others may have been opened
            victim.abort()
            if victim is connection:
                return
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def waiting_bytes(self) -> int:
        return sum(connection.waiting_bytes for connection in self._connections)

    def refusal(self, status: int, reason: str) -> bytes:
        return server_refusals.refusal(status, reason, self.protection)

    def answer(self, connection: Connection, *, is_last: bool) -> None:
        self._threads.submit(self._compute, connection, is_last=is_last)

    def _compute(self, connection: Connection, *, is_last: bool) -> None:
        """Answer a request, in a thread. Every exception becomes an answer."""
        request, connection.request = connection.request, b""
        if not request:
            return  # the client has left while the request waited in the queue
        try:
            answer = self._handle(connection, request, is_last=is_last)
        except (ParseException, NoMoreData) as error:
            is_cut_head = isinstance(error, NoMoreData) and len(request) > self.limits.head_bytes
            status = 431 if is_cut_head else _STATUS.get(type(error), 400)
            answer = self.refusal(status, type(error).__name__), False  # not the message: it quotes the request
        except Exception as error:  # noqa: BLE001
            _log.error("the server failed: %s", frames(error))
            answer = self.refusal(500, type(error).__name__), False
        if answer is not None:
            self._send(connection, *answer)

    def _send(self, connection: Connection, answer: bytes, keeps_alive: bool) -> None:
        with suppress(RuntimeError):  # the loop is closed, as the process ends
            self._loop.call_soon_threadsafe(partial(connection.send, answer, keeps_alive=keeps_alive))

    def _handle(self, connection: Connection, request: bytes, *, is_last: bool) -> tuple[bytes, bool] | None:
        """Compute the answer, and whether the connection can be kept alive; None if the answer streams."""
        pieces, sent = RequestPieces(request), AnswerBytes()
        parser = RequestParser(self.cfg, pieces, connection.peer)
        message = next(parser)
        response, environ = wsgi.create(message, sent, connection.peer, connection.server, self.cfg)
        response.version = SERVER
        environ["wsgi.multithread"] = True
        try:
            body = self.wsgi(environ, response.start_response)
            keeps_alive = _is_used_up(parser, pieces) and not is_last and not self._stopped.is_set()
            if not keeps_alive:
                response.force_close()
            if streams(response):
                return self._stream(connection, response, body, keeps_alive=keeps_alive)
            write(response, body)
        finally:
            environ.clear()  # breaks its cycle with Werkzeug's request, which would keep the body until a garbage collection
        return sent.joined(), keeps_alive and not response.should_close()

    def _stream(self, connection: Connection, response: Any, body: Any, *, keeps_alive: bool) -> tuple[bytes, bool] | None:
        """Have an answer made in another thread; otherwise return what to answer instead."""

        def changed(stream: Stream) -> None:
            with suppress(RuntimeError):  # as in _send
                self._loop.call_soon_threadsafe(connection.stream, stream)

        def ended(error: Exception | None) -> None:
            if error is None or stream.has_begun:
                keeps = keeps_alive and not response.should_close()
                stream.end(has_failed=error is not None, keeps_alive=keeps)
            else:
                status = SERVICE_UNAVAILABLE if isinstance(error, DependencyUnavailable) else 500
                self._send(connection, self.refusal(status, type(error).__name__), keeps_alive=False)

        stream = Stream(changed, ends_by_closing=not response.chunked)
        if self._streams.begin(stream, response, body, ended):
            return None
        return self.refusal(SERVICE_UNAVAILABLE, "too many streams"), False


def _is_used_up(parser: RequestParser, pieces: RequestPieces) -> bool:
    """Whether the parser and ``Framing`` agree on the request's end. If not, the next bytes may not be a request."""
    try:
        return parser.finish_body() and not parser.unreader.take_buffered() and pieces.are_used_up
    except (ParseException, NoMoreData):  # in a part of the body that the application did not read
        return False


class _Certificate:
    """Reloads the API's certificate for new connections when its files change."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg
        self._seen = self._state() if cfg.is_ssl else None
        self._is_valid = True

    def reload(self, context: ssl.SSLContext) -> None:
        """Load the files if they have changed and are valid together; otherwise keep the previous certificate."""
        try:
            self._load(context)
        except OSError as error:  # includes SSLError; the files may be in the middle of a replacement
            if self._is_valid:
                _log.warning("the certificate cannot be renewed yet: %s", type(error).__name__)
            self._is_valid = False
            return
        if not self._is_valid:
            _log.warning("the certificate's files are good again")
        self._is_valid = True

    def _load(self, context: ssl.SSLContext) -> None:
        state = self._state()
        if state != self._seen:
            sock.ssl_context(self._cfg)  # raises if the files are not valid
            context.load_cert_chain(self._cfg.certfile, self._cfg.keyfile)
            self._seen = state

    def _state(self) -> list[tuple[int, int, int]]:
        stats = [Path(name).stat() for name in (self._cfg.certfile, self._cfg.keyfile)]
        return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in stats]
