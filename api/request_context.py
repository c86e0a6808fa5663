"""The state of the current request that parts of the API share.

It has a context variable of its own. Flask's ``g``, ``request`` and ``current_app`` are proxies: each use takes 1 µs, and a
request needs its state 40 times.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, cast

from flask import Flask, request

from app.bootstrap import Engine
from app.security.access import Action, Principal
from app.security.rate_limits import Allowance, RateLimit
from app.security.tokens import Claims


class Counted(NamedTuple):
    """The rate limit by which a request was counted, and the result."""

    limit: RateLimit
    allowance: Allowance


@dataclass(slots=True)
class RequestContext:
    """The state of one request. The comments name the modules that write each field."""

    engine: Engine
    endpoint: str  # Flask's name of the route; "" for an unknown route
    view: Callable[..., Any] | None  # the view function of the route
    began: float = field(default_factory=perf_counter)  # seconds, of time.perf_counter
    correlation_id: str = ""  # responses
    caller: Principal | None = None  # authentication: the holder of a valid token
    claims: Claims | None = None  # authentication: of the caller's token
    authentication_error: Exception | None = None  # authentication: why there is no caller
    jwt_secret: str = ""  # authentication: the secret with which the token is being verified
    area: str = ""  # rate_limits: selects the limit
    counted: Counted | None = None  # rate_limits
    caller_allowance: Allowance | None = None  # rate_limits: the caller's count, with values read in the same round trip
    action: Action | None = None  # access, for non-public routes
    data_subjects: Sequence[str] = ()  # access, views: the students whose data the request is about
    audit_details: dict[str, str | int | bool] = field(default_factory=dict)  # views, for the audit trail
    unavailable: str = ""  # errors: the dependency that did not answer


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def register_request_context(app: Flask) -> None:
    """Create a context for each request, and start its clock. Other hooks need it: register this before them."""
    engine = cast("Engine", app.extensions["engine"])

    @app.before_request
    def begin() -> None:
        endpoint = request.endpoint
        _current.set(RequestContext(engine, endpoint or "", app.view_functions[endpoint] if endpoint else None))

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        _current.set(None)  # a kept error would keep its request in memory


def context() -> RequestContext:
    """The context of the current request."""
    return cast("RequestContext", _current.get())
