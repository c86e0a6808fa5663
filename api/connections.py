"""A client's connection: buffers complete requests and sends answers, so that no thread waits for a client.

This runs in the event loop of a process (``api/http_worker.py``); its threads answer complete requests. A client that sends or
reads slowly, or not at all, occupies only a connection, for a limited time.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol, cast

from api.framing import Framing
from api.streams import Stream

# (host, port, …), or the path of a Unix socket.
Address = tuple[str, int] | str
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REQUEST_TIMEOUT, SERVICE_UNAVAILABLE = 408, 503
# Pipelined bytes that are buffered while a request is being answered; then reading pauses (TCP backpressure).
AHEAD_BYTES = 65_536
# Requests and answers up to this size are exempt from the limit of all connections together.
SMALL_BYTES = 65_536
# Bytes of an answer per write: the TLS transport's write buffer size only counts what exceeds this.
WRITTEN_BYTES = 65_536


class Limits(NamedTuple):
    """Limits of a connection: bytes of a request's head and body, and seconds for each state."""

    head_bytes: int
    body_bytes: int
    request_seconds: float  # from the first byte of a request to its last
    idle_seconds: float  # from an answer to the next request
    answer_seconds: float  # for a client to receive an answer; of a stream, the next ``WRITTEN_BYTES``
    linger_seconds: float  # for a client to read the last answer before the connection is closed
    waiting_bytes: int  # of all connections together: requests not answered yet, and answers not sent yet


class Answering(Protocol):
    """The worker's interface for connections."""

    limits: Limits

    def opened(self, connection: "Connection") -> None: ...
    def closed(self, connection: "Connection") -> None: ...
    def answer(self, connection: "Connection", *, is_last: bool) -> None:
        """Answer the connection's request in a thread, which then schedules ``send`` or ``stream`` in the event loop."""

    def waiting_bytes(self) -> int: ...
    def refusal(self, status: int, reason: str) -> bytes: ...


class _State(Enum):
    IDLE = auto()
    RECEIVING = auto()
    ANSWERING = auto()
    SENDING = auto()  # until the whole answer is written to the socket
    CLOSING = auto()  # the last answer was sent; further input is discarded


class Connection(asyncio.Protocol):
    """A connection. It expires at ``deadline`` of the loop's clock; None while a thread makes the answer or its next part."""

    def __init__(self, worker: Answering, clock: Callable[[], float]) -> None:
        self._worker, self._clock, self._limits = worker, clock, worker.limits
        self._state = _State.IDLE
        self._received = bytearray()
        self._framing = self._new_framing()
        self.request = b""  # the request for a thread; cleared if the client leaves while it waits in the queue
        self._request_size = 0  # bytes, until it is answered
        self._answer_bytes = b""  # being sent
        self._written = 0  # bytes of these
        self._stream: Stream | None = None  # makes the next bytes of the answer
        self._is_writing = False
        self._keeps_alive = True  # whether the connection stays open after the current answer
        self._has_ended = False  # the client has closed its side
        self._is_cut = False  # the client may still be sending the rest of a request that is answered already
        self._dropped_until = 0.0  # further input is discarded until then
        self.deadline: float | None = clock() + self._limits.request_seconds

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the client's request."""
        return self._state in (_State.IDLE, _State.RECEIVING)

    @property
    def is_closing(self) -> bool:
        """Whether the last answer was sent."""
        return self._state is _State.CLOSING

    @property
    def _has_more(self) -> bool:
        """Whether bytes of another request have arrived, ignoring empty lines before it (RFC 9112 section 2.2)."""
        return bool(self._received.lstrip(b"\r\n"))

    @property
    def waiting_bytes(self) -> int:
        """Its bytes in memory, except a last piece of an answer that TLS has encrypted."""
        unsent = len(self._answer_bytes) + (self._stream.unsent if self._stream else 0)
        return len(self._received) + self._request_size + unsent + self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register a new client. It has no address if it has already disconnected."""
        self._transport = cast("asyncio.Transport", transport)
        peer: Address | None = transport.get_extra_info("peername")
        if peer is None:
            self.abort()
            return
        self._transport.set_write_buffer_limits(high=0)  # resume_writing is then called when the buffer is empty
        self.peer = peer
        self.server: Address = transport.get_extra_info("sockname")
        self._worker.opened(self)

    def connection_lost(self, _reason: Exception | None) -> None:
        """Free the buffers after the connection was closed."""
        self._received.clear()
        self.request = self._answer_bytes = b""
        self._end_stream()
        self._worker.closed(self)

    def data_received(self, data: bytes) -> None:
        """Buffer the bytes of a request, and a limited number of the next one's."""
        if self._state is _State.CLOSING:
            self.deadline = min(self._dropped_until, self._clock() + self._limits.linger_seconds)
            return
        self._received += data
        if self.is_waiting:
            self._advance()
        elif len(self._received) > AHEAD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer the remaining requests after the client has closed its side, including an incomplete one.

        Not with TLS, where asyncio then closes the connection in any case.

        Returns:
            Whether to keep the connection open.
        """
        self._has_ended = True
        if not self._transport.can_write_eof():
            return False
        if self.is_waiting and self._has_more:
            self._answer(len(self._received), is_last=True)
        return self._state in (_State.ANSWERING, _State.SENDING)

    def _advance(self) -> None:
        if self._state is _State.IDLE:
            self._state, self.deadline = _State.RECEIVING, self._clock() + self._limits.request_seconds
        end = self._framing.end(self._received)
        if end is None and self._has_ended:
            end = len(self._received)
        if len(self._received) > SMALL_BYTES and self._worker.waiting_bytes() > self._limits.waiting_bytes:
            self._send_last(self._worker.refusal(SERVICE_UNAVAILABLE, "too many large ones"))
        elif end is not None:
            self._answer(end, is_last=self._framing.is_cut or (self._has_ended and end == len(self._received)))
        elif self._framing.expects_continue:
            self._framing.expects_continue = False
            self._transport.write(CONTINUE)

    def _answer(self, end: int, *, is_last: bool) -> None:
        self.request = bytes(memoryview(self._received)[:end])
        del self._received[:end]
        self._request_size = end
        self._is_cut, self._framing = self._framing.is_cut, self._new_framing()
        self._state, self.deadline = _State.ANSWERING, None
        self._worker.answer(self, is_last=is_last)

    def send(self, answer: bytes, *, keeps_alive: bool) -> None:
        """Send the answer, then wait for the next request or close the connection."""
        self._request_size = 0
        if self._transport.is_closing():
            return
        self._state, self.deadline = _State.SENDING, self._clock() + self._limits.answer_seconds
        self._keeps_alive = keeps_alive
        self._answer_bytes, self._written = answer, 0
        self._write()
        is_large = len(self._answer_bytes) > SMALL_BYTES  # and not sent completely, else it is empty now
        if is_large and self._worker.waiting_bytes() > self._limits.waiting_bytes:
            self.abort()

    def stream(self, stream: Stream) -> None:
        """Send what a streamed answer has; called after each of its parts, and after the last for its end."""
        if stream.is_closed:  # an earlier call has sent all of it
            return
        if self._transport.is_closing():
            stream.close()
            return
        if self._stream is None:
            self._request_size, self._stream = 0, stream
            self._state, self.deadline = _State.SENDING, self._clock() + self._limits.answer_seconds
            if stream.ends_by_closing:
                self._reset_on_close(on=True)
        if not self._transport.get_write_buffer_size():
            self._write()

    def resume_writing(self) -> None:
        """Continue after the write buffer was emptied."""
        if self._state is _State.SENDING and not self._is_writing:
            self._write()

    def _write(self) -> None:
        """Write pieces until the transport buffers: a TLS transport accepts any amount and shows only then that it is full."""
        self._is_writing = True  # a TLS transport calls resume_writing within write
        while not self._transport.get_write_buffer_size() and (piece := self._next_piece()):
            self._transport.write(piece)
        self._is_writing = False
        if not self._transport.get_write_buffer_size():
            self._sent()
        elif self._stream:  # and the client has taken what was buffered before
            self.deadline = self._clock() + self._limits.answer_seconds

    def _next_piece(self) -> bytes:
        if self._stream and self._written == len(self._answer_bytes):
            self._answer_bytes, self._written = self._stream.take(), 0
        piece = self._answer_bytes[self._written : self._written + WRITTEN_BYTES]
        self._written += len(piece)
        return piece

    def _sent(self) -> None:
        self._answer_bytes, self._written = b"", 0
        if self._stream:
            if not self._stream.has_ended:
                self.deadline = None  # until the next part
                return
            if self._stream.ends_by_closing:
                if self._stream.has_failed:
                    self.abort()
                    return
                self._reset_on_close(on=False)
            self._keeps_alive = self._stream.keeps_alive
            self._end_stream()
        if not self._keeps_alive or (self._has_ended and not self._has_more):
            self._end()
            return
        self._state, self.deadline = _State.IDLE, self._clock() + self._limits.idle_seconds
        if not self._has_ended:  # otherwise there is nothing more to read
            self._transport.resume_reading()
        if self._received:
            self._advance()

    def _end_stream(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None

    def _reset_on_close(self, *, on: bool) -> None:
        """Have the system reset the connection when it closes: otherwise HTTP/1.0 clients take a partial answer for a whole."""
        own = cast("socket.socket", self._transport.get_extra_info("socket"))
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))

    def _send_last(self, answer: bytes) -> None:
        self._is_cut = True
        self.send(answer, keeps_alive=False)

    def _end(self) -> None:
        """Close without losing the answer: closing while the client sends would reset the connection (RFC 9112 section 9.6)."""
        now = self._clock()
        half_closes = self._transport.can_write_eof()  # TLS cannot, and may still buffer the end of the answer
        lingers = half_closes or self._is_cut
        seconds = self._limits.linger_seconds if lingers else self._limits.answer_seconds
        self._state, self.deadline = _State.CLOSING, now + seconds
        self._dropped_until = now + self._limits.request_seconds
        self._received.clear()
        if self._has_ended or not lingers:
            self._transport.close()
            return
        if half_closes:
            self._transport.write_eof()
        self._transport.resume_reading()

    def stop(self, deadline: float) -> None:
        """Limit the wait for a request to ``deadline``, as the process stops."""
        if self.is_waiting and self.deadline is not None:
            self.deadline = min(self.deadline, deadline)

    def expire(self) -> None:
        """Close the connection after its deadline, with an answer if a request is incomplete."""
        if self._state is _State.RECEIVING and self._received:
            self._send_last(self._worker.refusal(REQUEST_TIMEOUT, "too slow"))
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once, discarding unsent data."""
        self._transport.abort()

    def _new_framing(self) -> Framing:
        return Framing(self._limits.head_bytes, self._limits.body_bytes)
