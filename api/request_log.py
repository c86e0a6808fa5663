"""A line in the log for each request: what was asked for, what came of it, how long it took, and the id that the answer has.

Probes that are answered well have theirs only with MASTERY_LOG_LEVEL=DEBUG. It names the route's rule, as
``/tasks/<uuid:task_id>``, and never the path, the query or the caller: those name persons.
"""

import logging
import sys
import time
from collections import deque
from contextlib import suppress
from http import HTTPMethod, HTTPStatus
from threading import Event, Thread
from time import perf_counter
from typing import TextIO

from flask import Flask, Response, request

from api.request_context import context
from api.responses import correlation_id
from app.logs import LineFormatter

NO_ROUTE = "no-route"
PROBES = frozenset({"health.alive", "health.ready"})  # asked every second or so: where all is well, they say nothing
OTHER_METHOD = "other-method"  # in place of a word that a caller has made up
_METHODS = frozenset(HTTPMethod)
# A write for each line lets go of the interpreter's lock in the middle of a request, and a slow terminal or pipe would
# hold the request up. So the lines of this time are written at once.
BATCH_SECONDS = 0.1
MAX_LINES = 10_000  # that wait for a terminal or a pipe that takes none: 1.5 MB; then the oldest are dropped

_log = logging.getLogger(__name__)


def register_request_log(app: Flask) -> None:
    """Log each request. Registered before all others, this looks at the clock first, and sees the answer that really leaves."""

    @app.before_request
    def begin() -> None:
        context()  # which looks at the clock

    @app.after_request
    def log(response: Response) -> Response:
        rule, method = request.url_rule, request.method
        is_quiet = request.endpoint in PROBES and response.status_code < HTTPStatus.BAD_REQUEST
        _log.log(
            logging.DEBUG if is_quiet else logging.INFO,
            "%s %s %d %.1f ms %s",
            method if method in _METHODS else OTHER_METHOD,
            NO_ROUTE if rule is None else rule.rule,
            response.status_code,
            (perf_counter() - context().began) * 1000,
            correlation_id(),
        )
        return response


class LineBatches(logging.StreamHandler[TextIO]):
    """Writes lines by a thread of its own, those of a tenth of a second at once. What is left is written at the process's end.

    The thread starts with the first line: not before the server has forked.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(LineFormatter())
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._wanted = Event()
        self._writer: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line until the next batch."""
        self._lines.append(self.format(record) + self.terminator)
        if self._writer is None:
            self._writer = Thread(target=self._write, name="request log", daemon=True)
            self._writer.start()
        if not self._wanted.is_set():
            self._wanted.set()

    def flush(self) -> None:
        """Write what there is. A terminal or a pipe that is gone takes nothing: the requests go on."""
        lines: list[str] = []
        with suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        if lines:
            with suppress(OSError, ValueError):
                self.stream.write("".join(lines))
                self.stream.flush()

    def _write(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(BATCH_SECONDS)
            self._wanted.clear()
            self.flush()


def log_in_batches() -> None:
    """Have the lines written by a thread, in a process that serves; elsewhere they are records like all others."""
    _log.handlers = [LineBatches(sys.stdout)]
    _log.propagate = False
