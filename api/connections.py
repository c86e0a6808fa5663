"""A client's connection: its requests are collected whole, its answers sent, and no thread ever waits for it.

All of this is done by a process's event loop (``api/http_worker.py``), and its threads answer what is complete. Whoever sends
slowly, says nothing or does not listen takes no more than a place among the connections, for a time that is bounded.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol, cast

from api.framing import Framing

# An address is (host, port …), or the name of a Unix socket.
Address = tuple[str, int] | str
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REQUEST_TIMEOUT, SERVICE_UNAVAILABLE = 408, 503
# Of what a client sends while its request is being answered, so much is kept; then its own system keeps the rest.
AHEAD_BYTES = 65_536
# A request or answer up to this size is kept whatever others send or do not take: that stops nobody's questions.
SMALL_BYTES = 65_536
# So much of an answer is written at a time: TLS counts what it holds only above this.
WRITTEN_BYTES = 65_536


class Limits(NamedTuple):
    """What a connection may take: bytes of a head and a body, and seconds for each of its states."""

    head_bytes: int
    body_bytes: int
    request_seconds: float  # from the first byte of a request to its last
    idle_seconds: float  # from an answer to the next request
    answer_seconds: float  # for a client to take an answer
    linger_seconds: float  # for a client to notice that it was answered for the last time
    waiting_bytes: int  # of all connections together: requests that are not answered, answers that are not taken


class Answering(Protocol):
    """What connections need of their worker."""

    limits: Limits

    def opened(self, connection: "Connection") -> None: ...
    def closed(self, connection: "Connection") -> None: ...
    def answer(self, connection: "Connection", *, is_last: bool) -> None:
        """Have a thread answer the connection's request; ``send`` is then called in the loop's."""

    def waiting_bytes(self) -> int: ...
    def refusal(self, status: int, reason: str) -> bytes: ...


class _State(Enum):
    IDLE = auto()
    RECEIVING = auto()
    ANSWERING = auto()
    SENDING = auto()  # an answer that the client does not take as fast as it could
    CLOSING = auto()  # the last answer was sent; what still comes is dropped


class Connection(asyncio.Protocol):
    """One of them. Its deadline is when it is given up, by the loop's clock; None: while a thread answers."""

    def __init__(self, worker: Answering, clock: Callable[[], float]) -> None:
        self._worker, self._clock, self._limits = worker, clock, worker.limits
        self._state = _State.IDLE
        self._received = bytearray()
        self._framing = self._new_framing()
        self.request = (
            b""  # which a thread is to answer; gone when the client is: others may be in the thread's queue before it
        )
        self._in_hand = 0  # its bytes, until it is answered
        self._answer_bytes = b""  # which is being sent
        self._written = 0  # bytes of it
        self._is_writing = False
        self._goes_on = True  # after the answer that is being sent
        self._has_ended = False  # the client sends nothing more
        self._is_cut = False  # it may be sending the rest of a request that is answered already
        self._dropped_until = 0.0  # what it sends on is dropped until then
        self.deadline: float | None = clock() + self._limits.request_seconds

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn."""
        return self._state in (_State.IDLE, _State.RECEIVING)

    @property
    def is_closing(self) -> bool:
        """Whether it was answered for the last time."""
        return self._state is _State.CLOSING

    @property
    def _has_more(self) -> bool:
        """Whether anything has come of another request: an empty line before one is nothing (RFC 9112 section 2.2)."""
        return bool(self._received.lstrip(b"\r\n"))

    @property
    def waiting_bytes(self) -> int:
        """What it holds in memory, but for a last piece of an answer that TLS has encrypted."""
        return len(self._received) + self._in_hand + len(self._answer_bytes) + self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came. One that has left again, before it was let in, has no address."""
        self._transport = cast("asyncio.Transport", transport)
        peer: Address | None = transport.get_extra_info("peername")
        if peer is None:
            self.abort()
            return
        self._transport.set_write_buffer_limits(high=0)  # so that it is told when an answer has been taken
        self.peer = peer
        self.server: Address = transport.get_extra_info("sockname")
        self._worker.opened(self)

    def connection_lost(self, _reason: Exception | None) -> None:
        """It is gone, or was given up."""
        self._received.clear()
        self.request = self._answer_bytes = b""
        self._worker.closed(self)

    def data_received(self, data: bytes) -> None:
        """Collect what belongs to a request; keep a little of what belongs to the next."""
        if self._state is _State.CLOSING:
            self.deadline = min(self._dropped_until, self._clock() + self._limits.linger_seconds)
            return
        self._received += data
        if self.is_waiting:
            self._advance()
        elif len(self._received) > AHEAD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends nothing more, but may be listening: each request gets its answer, and so does what there is of one.

        Not over TLS: there, the connection ends with what its client sends, whatever is said here.
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
        self._in_hand = end
        self._is_cut, self._framing = self._framing.is_cut, self._new_framing()
        self._state, self.deadline = _State.ANSWERING, None
        self._worker.answer(self, is_last=is_last)

    def send(self, answer: bytes, *, goes_on: bool) -> None:
        """Send the answer; then the connection waits for the next request, or ends."""
        self._in_hand = 0
        if self._transport.is_closing():
            return
        self._state, self.deadline = _State.SENDING, self._clock() + self._limits.answer_seconds
        self._goes_on = goes_on
        self._answer_bytes, self._written = answer, 0
        self._write_on()
        is_waited_for = len(self._answer_bytes) > SMALL_BYTES
        if is_waited_for and self._worker.waiting_bytes() > self._limits.waiting_bytes:
            self.abort()

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        if self._state is _State.SENDING and not self._is_writing:
            self._write_on()

    def _write_on(self) -> None:
        """Write as much as the client takes: TLS takes any amount at once, and says only of the next piece that it waits."""
        self._is_writing = True  # TLS calls resume_writing within write
        while self._written < len(self._answer_bytes) and not self._transport.get_write_buffer_size():
            piece = self._answer_bytes[self._written : self._written + WRITTEN_BYTES]
            self._written += len(piece)
            self._transport.write(piece)
        self._is_writing = False
        if not self._transport.get_write_buffer_size():
            self._sent()

    def _sent(self) -> None:
        self._answer_bytes = b""
        if not self._goes_on or (self._has_ended and not self._has_more):
            self._end()
            return
        self._state, self.deadline = _State.IDLE, self._clock() + self._limits.idle_seconds
        if not self._has_ended:  # there is nothing to read any more
            self._transport.resume_reading()
        if self._received:
            self._advance()

    def _send_last(self, answer: bytes) -> None:
        self._is_cut = True
        self.send(answer, goes_on=False)

    def _end(self) -> None:
        """Let the client read its answer: closed while it still sends, the connection would be reset (RFC 9112 section 9.6)."""
        now = self._clock()
        half_closes = self._transport.can_write_eof()  # TLS does not, and may hold the end of the answer, uncounted
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
        """The process ends: wait for a request no longer than until then."""
        if self.is_waiting and self.deadline is not None:
            self.deadline = min(self.deadline, deadline)

    def expire(self) -> None:
        """Its time is over: say so where a request was begun, and give it up."""
        if self._state is _State.RECEIVING and self._received:
            self._send_last(self._worker.refusal(REQUEST_TIMEOUT, "too slow"))
        else:
            self.abort()

    def abort(self) -> None:
        """Close it at once, whatever was not sent."""
        self._transport.abort()

    def _new_framing(self) -> Framing:
        return Framing(self._limits.head_bytes, self._limits.body_bytes)
