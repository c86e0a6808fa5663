"""Streamed answers: a thread makes the parts, the event loop sends them, and the thread waits for a slow client.

Only an answer without a length streams, as a view makes it from a generator. It has threads of its own, so that clients of
streams, however slow, never take the threads that answer requests.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from http import HTTPMethod, HTTPStatus
from threading import BoundedSemaphore, Condition
from typing import Any

from app.logs import frames

# Bytes of an answer that wait for the connection; it may be sending as many. A part of a batch's results has some 100 KB.
STREAM_BYTES = 262_144
_log = logging.getLogger(__name__)


class ClientLeftError(Exception):
    """Nobody takes the rest of the answer."""


class Stream:
    """An answer in parts. Replaces the socket that gunicorn writes; the connection takes the parts in the event loop."""

    def __init__(self, changed: Callable[["Stream"], None], *, ends_by_closing: bool) -> None:
        """Create a stream.

        Args:
            changed: is called in the thread after each part, and at the end.
            ends_by_closing: whether only the end of the connection ends the answer (HTTP/1.0), instead of a last chunk.
        """
        self._changed = changed
        self.ends_by_closing = ends_by_closing
        self._room = Condition()
        self._parts: list[bytes] = []
        self.unsent = 0  # bytes of these parts
        self._is_complete = False
        self.has_begun = False  # a client may know the status already
        self.is_closed = False  # the connection takes no more
        self.has_failed = False
        self.keeps_alive = False  # whether the connection stays open after the end

    @property
    def has_ended(self) -> bool:
        """Whether there is no part to take, and none will come."""
        with self._room:
            return self._is_complete and not self._parts

    def sendall(self, data: bytes) -> None:
        """Pass on a part, once there is room for it. Raises ClientLeftError if the connection was closed."""
        with self._room:
            self._room.wait_for(lambda: self.is_closed or not self._parts or self.unsent + len(data) <= STREAM_BYTES)
            if self.is_closed:
                raise ClientLeftError
            self._parts.append(data)
            self.unsent += len(data)
            self.has_begun = True
        self._changed(self)

    def end(self, *, has_failed: bool, keeps_alive: bool) -> None:
        """Say that no more parts will come. If it failed, the connection is closed without a last chunk: clients notice."""
        with self._room:
            self.has_failed, self.keeps_alive = has_failed, keeps_alive and not has_failed
            self._is_complete = True
        self._changed(self)

    def take(self) -> bytes:
        """The parts that wait, in the event loop; may be empty."""
        with self._room:
            taken = b"".join(self._parts)
            self._parts.clear()
            self.unsent = 0
            self._room.notify()
        return taken

    def close(self) -> None:
        """Take no more parts, as all were sent or the client has left; this frees a thread that waits for room."""
        with self._room:
            self.is_closed = True
            self._parts.clear()
            self.unsent = 0
            self._room.notify()


class Streams:
    """The threads of a process that make streamed answers."""

    def __init__(self, limit: int) -> None:
        """Create them; at most ``limit`` answers stream at a time."""
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="streams")
        self._free = BoundedSemaphore(limit)
        self._running: set[Stream] = set()

    def begin(self, stream: Stream, response: Any, body: Iterable[bytes], ended: Callable[[Exception | None], None]) -> bool:
        """Make an answer in a thread.

        Args:
            stream: gets the parts.
            response: gunicorn's, whose status and headers the application has set.
            body: makes the parts, without the request's environment, which is cleared already; is closed in any case.
            ended: is called in the thread at the end, with the error if the body failed.

        Returns:
            Whether there was a thread for it.
        """
        if not self._free.acquire(blocking=False):
            with _closing(body):
                return False
        self._running.add(stream)
        response.sock = stream
        self._threads.submit(self._make, stream, response, body, ended)
        return True

    def stop(self) -> None:
        """End what still runs, as the process ends."""
        for stream in list(self._running):
            stream.close()
        self._threads.shutdown(wait=False)

    def _make(self, stream: Stream, response: Any, body: Iterable[bytes], ended: Callable[[Exception | None], None]) -> None:
        failure: Exception | None = None
        try:
            write(response, body)
        except ClientLeftError:
            pass
        except Exception as error:  # noqa: BLE001
            _log.error("a streamed answer failed: %s", frames(error))
            failure = error
        self._running.discard(stream)
        self._free.release()  # before the connection serves the client's next request
        ended(failure)


def streams(response: Any) -> bool:
    """Whether the application has started an answer with a body of unknown length."""
    has_body = response.req.method != HTTPMethod.HEAD and response.status_code not in (
        HTTPStatus.NO_CONTENT,
        HTTPStatus.NOT_MODIFIED,
    )
    return has_body and response.response_length is None


def write(response: Any, body: Iterable[bytes]) -> None:
    """Write an answer's parts and its end, and close the body."""
    with _closing(body):
        for part in body:
            response.write(part)
        response.close()


def _closing(body: Any) -> AbstractContextManager[Any]:
    return closing(body) if hasattr(body, "close") else nullcontext()
