"""Creates the Flask application; ``api/wsgi.py`` passes its dependencies."""

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Flask, Response, request
from flask.json.provider import JSONProvider
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from api import (
    accuracy,
    at_risk,
    audit,
    batches,
    changes,
    cohorts,
    compare,
    compare_cohorts,
    consent,
    health,
    ingest,
    mastery,
    mastery_history,
    predictions,
    recommendations,
    student_export,
    students,
    task_answers,
)
from api import token_revocation as auth
from api.access import check_routes, register_access
from api.authentication import register_authentication
from api.body_limits import WholeBody, register_body_limits
from api.errors import register_error_handlers
from api.headers import register_cors, register_headers
from api.openapi import openapi
from api.rate_limits import register_rate_limits
from api.request_audit import register_audit
from api.request_context import register_request_context
from api.request_log import register_request_log
from api.responses import register_correlation
from app.bootstrap import Engine
from app.config.field_types import listed
from app.config.settings import Settings
from app.events.event_log import EventLog
from app.identifiers import IDENTIFIER_PATTERN

_BLUEPRINTS = (
    health.blueprint,
    mastery.blueprint,
    ingest.blueprint,
    predictions.blueprint,
    at_risk.blueprint,
    accuracy.blueprint,
    recommendations.blueprint,
    mastery_history.blueprint,
    changes.blueprint,
    compare.blueprint,
    cohorts.blueprint,
    compare_cohorts.blueprint,
    batches.blueprint,
    task_answers.blueprint,
    auth.blueprint,
    audit.blueprint,
    students.blueprint,
    consent.blueprint,
    student_export.blueprint,
)


class Api(Flask):
    """Flask without support for coroutines: their detection costs time at each call of a view, hook or error handler."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class StrictJson(JSONProvider):
    """JSON by msgspec: fast, and strict where the standard library is not (NaN, infinities, broken UTF-8, deep nesting)."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return msgspec.json.encode(obj).decode()

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(msgspec.json.encode(self._prepare_response_obj(args, kwargs)), mimetype="application/json")

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        try:
            return msgspec.json.decode(s)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class IdentifierConverter(BaseConverter):
    """An id in a path; there is no route for a path with anything else in its place."""

    regex = IDENTIFIER_PATTERN.removeprefix("^").removesuffix(r"\Z")


def register_one_spelling(app: Flask) -> None:
    """Reject ``//route``, which Werkzeug treats as ``/route``: a reverse proxy's rules for ``/route`` do not match it.

    Also reject a query that is not UTF-8 (RFC 3986 section 2.5): Werkzeug would fail later, when the query is read.
    """

    @app.before_request
    def refuse() -> None:
        environ = request.environ
        if environ["PATH_INFO"].startswith("//"):
            request.url_rule, request.routing_exception = None, NotFound()
        if environ.get("QUERY_STRING") and not _is_utf_8(request.query_string):
            request.url_rule, request.routing_exception = None, BadRequest("The query is not in UTF-8.")


def _is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _configured(settings: Settings) -> Flask:
    """An application without routes and hooks."""
    app = Api("api", static_folder=None)
    app.json = StrictJson(app)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.http_max_body_bytes,
        PROVIDE_AUTOMATIC_OPTIONS=bool(listed(settings.cors_origins)),  # for CORS preflight requests
    )
    app.url_map.converters["identifier"] = IdentifierConverter
    app.url_map.merge_slashes = False  # a route has one spelling; there are no redirects
    app.wsgi_app = WholeBody(app.wsgi_app, settings.http_max_body_bytes)  # type: ignore[method-assign]  # as Flask documents
    if proxies := settings.http_trusted_proxies:  # without a proxy, callers could forge their address
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]
    return app


def create_app(engine: Engine, event_log: EventLog) -> Flask:
    """Create the API of an engine, which appends ingested events to ``event_log``.

    The order of registration matters: Flask calls before_request hooks in this order and after_request hooks in reverse. The
    context starts the request's clock and has its route, which the spelling of the path decides. The request log sees the final
    answer. The caller is identified before the request is counted, and it is counted before rights and body are checked. The
    audit trail, registered last, sees the answer before all others, since it may replace it.

    Returns:
        The application.
    """
    settings = engine.settings
    app = _configured(settings)
    app.extensions["engine"] = engine
    app.extensions["event_log"] = event_log
    register_one_spelling(app)
    register_request_context(app)
    register_request_log(app)
    register_correlation(app)
    register_headers(app, settings)
    register_authentication(app)
    register_rate_limits(app)
    register_access(app)
    register_body_limits(app)
    task_answers.register_waiters(app)
    health.register_readiness(app)
    api = openapi(app)
    register_error_handlers(app)
    for blueprint in _BLUEPRINTS:
        api.register_blueprint(blueprint)
    register_cors(app, settings)
    check_routes(app)
    register_audit(app)
    return app
