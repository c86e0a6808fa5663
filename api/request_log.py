"""Logs a line for each request: method, route, status, duration and correlation id.

Successful probes are logged only with MASTERY_LOG_LEVEL=DEBUG. The line has the route's rule, such as
``/tasks/<uuid:task_id>``, and never the path, the query or the caller, which are personal data.
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
PROBES = frozenset({"health.alive", "health.ready"})  # called about every second, so their successes are not logged
OTHER_METHOD = "other-method"  # in place of an unknown method
_METHODS = frozenset(HTTPMethod)
# Writing in the request would release the GIL in its middle, and a slow terminal or pipe would block it. So a thread writes
# batches.
BATCH_SECONDS = 0.1
MAX_LINES = 10_000  # 1.5 MB, while the terminal or pipe blocks; then the oldest are dropped

_log = logging.getLogger(__name__)


def register_request_log(app: Flask) -> None:
    """Log each request. Register this before other hooks that change the answer: it then sees the final one."""

    @app.after_request
    def log(response: Response) -> Response:
        current, rule, method = context(), request.url_rule, request.method
        is_quiet = current.endpoint in PROBES and response.status_code < HTTPStatus.BAD_REQUEST
        _log.log(
            logging.DEBUG if is_quiet else logging.INFO,
            "%s %s %d %.1f ms %s",
            method if method in _METHODS else OTHER_METHOD,
            NO_ROUTE if rule is None else rule.rule,
            response.status_code,
            (perf_counter() - current.began) * 1000,
            correlation_id(),
        )
        return response


class LineBatches(logging.StreamHandler[TextIO]):
    """Writes lines in batches in a background thread; the rest at the end of the process.

    The thread starts with the first line, so after the server has forked.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(LineFormatter())
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._wanted = Event()
        self._writer: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Add the line to the next batch."""
        self._lines.append(self.format(record) + self.terminator)
        if self._writer is None:
            self._writer = Thread(target=self._write, name="request log", daemon=True)
            self._writer.start()
        if not self._wanted.is_set():
            self._wanted.set()

    def flush(self) -> None:
        """Write the batch. Errors of a closed terminal or pipe are ignored."""
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
    """Write the request log in batches, in a serving process; in other processes it uses the normal log handlers."""
    _log.handlers = [LineBatches(sys.stdout)]
    _log.propagate = False
