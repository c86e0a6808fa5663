"""A line in the log for each request: what was asked for, what came of it, how long it took, and the id that the answer has.

Probes that are answered well have theirs only with MASTERY_LOG_LEVEL=DEBUG. It names the route's rule, as
``/tasks/<uuid:task_id>``, and never the path, the query or the caller: those name persons.
"""

import logging
from http import HTTPMethod, HTTPStatus
from time import perf_counter

from flask import Flask, Response, g, request

from api.responses import correlation_id

NO_ROUTE = "no-route"
PROBES = frozenset({"health.alive", "health.ready"})  # asked every second or so: where all is well, they say nothing
OTHER_METHOD = "other-method"  # in place of a word that a caller has made up
_METHODS = frozenset(HTTPMethod)

_log = logging.getLogger(__name__)


def register_request_log(app: Flask) -> None:
    """Log each request. Registered before all others, this looks at the clock first, and sees the answer that really leaves."""

    @app.before_request
    def begin() -> None:
        g.began = perf_counter()

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
            (perf_counter() - g.began) * 1000,
            correlation_id(),
        )
        return response
