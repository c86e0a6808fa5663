"""The API's error contract: every failure, including those of libraries, becomes the envelope of design section 5.

Views have no ``try`` for the engine's errors. Messages contain what callers can act on; causes are logged with the correlation
id. Driver errors and stack traces are never sent.
"""

import logging
from typing import Any

from flask import Flask, Response
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from api.authentication import AuthenticationFailed, engine
from api.request_context import context
from api.responses import ErrorCode, correlation_id, failure
from app.errors import AccessDenied, ConsentWithdrawn, DependencyUnavailable, InvalidInput, NotFound
from app.idempotency.idempotency_keys import HEADER, AnswersFull
from app.logs import frames

RETRY_AFTER_SECONDS = "1"

# Codes of HTTP errors raised by Flask, Werkzeug or the schemas; others are MALFORMED_REQUEST (4xx) or INTERNAL_ERROR (5xx).
_CODES = {
    401: ErrorCode.AUTH_ERROR,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    409: ErrorCode.CONFLICT,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
    422: ErrorCode.VALIDATION_ERROR,
    429: ErrorCode.RATE_LIMITED,
}
# Instead of Werkzeug's messages, which are written for browser users.
_MESSAGES = {
    404: "There is no such route.",
    405: "The route does not have this method; Allow names those it has.",
    413: "The body is too large.",
    415: "Send JSON, with Content-Type: application/json, and not compressed.",
}
_log = logging.getLogger(__name__)


def register_error_handlers(app: Flask) -> None:
    """Register a handler for every kind of failure."""
    app.after_request(_answered)
    app.register_error_handler(InvalidInput, _invalid)
    app.register_error_handler(ValidationError, _invalid_body)
    app.register_error_handler(AuthenticationFailed, _unauthenticated)
    app.register_error_handler(AccessDenied, _denied)
    app.register_error_handler(ConsentWithdrawn, _withdrawn)
    app.register_error_handler(NotFound, _missing)
    app.register_error_handler(DependencyUnavailable, _unavailable)
    app.register_error_handler(AnswersFull, _no_room)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _invalid(error: InvalidInput) -> Response:
    reasons: dict[str, list[str]] = {}
    for each in error.errors:
        reasons.setdefault(each.field or "body", []).append(each.reason)
    return failure(422, ErrorCode.VALIDATION_ERROR, "The request is not valid.", reasons)


def _invalid_body(error: ValidationError) -> Response:
    return failure(422, ErrorCode.VALIDATION_ERROR, "The request is not valid.", _flatten(error.messages))


def _unauthenticated(error: AuthenticationFailed) -> Response:
    return failure(401, ErrorCode.AUTH_ERROR, str(error), headers={"WWW-Authenticate": "Bearer"})


def _denied(error: AccessDenied) -> Response:
    return failure(403, ErrorCode.FORBIDDEN, _sentence(error))


def _withdrawn(error: ConsentWithdrawn) -> Response:
    return failure(403, ErrorCode.CONSENT_WITHDRAWN, _sentence(error))


def _missing(error: NotFound) -> Response:
    return failure(404, ErrorCode.NOT_FOUND, _sentence(error))


def _no_room(error: AnswersFull) -> Response:
    """The tenant's quota of stored answers for idempotency keys is used up."""
    message, headers = "The tenant's quota for keys is used up.", {"Retry-After": str(error.seconds)}
    return failure(429, ErrorCode.RATE_LIMITED, message, {HEADER: [str(error)]}, headers)


def _unavailable(error: DependencyUnavailable) -> Response:
    context().unavailable = error.dependency
    engine().outages.gone(error, context().endpoint)  # logged once; the request log has the affected requests
    return failure(
        503,
        ErrorCode.SERVICE_UNAVAILABLE,
        "A part of the service does not answer; try again.",
        headers={"Retry-After": RETRY_AFTER_SECONDS},
    )


def _http_error(error: HTTPException) -> Response:
    return _http_failure(error)


def _unexpected(error: Exception) -> Response:
    # Without the message, which may quote the request.
    _log.error("unexpected error, correlation id %s: %s", correlation_id(), frames(error))
    return failure(500, ErrorCode.INTERNAL_ERROR, "The service failed; its operators can find the cause by the correlation id.")


def _answered(response: Response) -> Response:
    """Report the end of this route's outage, if there was one."""
    if response.status_code < 500:
        engine().outages.back(context().endpoint)
    return response


def _http_failure(error: HTTPException) -> Response:
    status = error.code or 500
    headers = dict(error.get_headers())
    kept: dict[str, str] = {name: headers[name] for name in ("Allow", "Retry-After") if name in headers}
    if status == 422:
        return failure(422, ErrorCode.VALIDATION_ERROR, "The request is not valid.", _details(error))
    code = _CODES.get(status, ErrorCode.MALFORMED_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR)
    return failure(status, code, _MESSAGES.get(status) or error.description or error.name, headers=kept)


def _details(error: HTTPException) -> dict[str, list[str]]:
    """Reasons by field. webargs groups messages by location (json, query); each route has one location."""
    details: dict[str, list[str]] = {}
    for messages in getattr(error, "data", {}).get("messages", {}).values():
        details |= _flatten(messages)
    return details


def _flatten(messages: Any, path: str = "") -> dict[str, list[str]]:
    """Flatten marshmallow's nested messages: ``{"a": {"b": [...]}}`` -> ``{"a.b": [...]}``."""
    if isinstance(messages, dict):
        flat: dict[str, list[str]] = {}
        for name, inner in messages.items():
            part = "" if name == "_schema" else str(name)
            flat |= _flatten(inner, ".".join(filter(None, (path, part))))
        return flat
    return {path or "body": [str(reason) for reason in (messages if isinstance(messages, list) else [messages])]}


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
