"""The envelope of every answer, and the correlation id that links an answer to the log. Source: design section 5."""

import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from random import getrandbits
from typing import Any
from uuid import UUID

from flask import Flask, Response, request
from marshmallow import Schema, fields, validate
from msgspec.json import encode

from api.authentication import engine
from api.request_context import context

CORRELATION_HEADER = "X-Correlation-ID"
_CORRELATION_VARIABLE = "HTTP_X_CORRELATION_ID"  # in the WSGI environment
VERSION = version("mastery-engine")

# A caller's id is used if it is safe to log; otherwise it is replaced, not rejected.
SAFE_ID = r"^[A-Za-z0-9._-]{1,64}$"
_SAFE_ID = re.compile(SAFE_ID)

# Limits of a failure's details, which may quote the request.
MAX_PROBLEMS = 20
MAX_TEXT = 200  # characters of each


class ErrorCode(StrEnum):
    """Machine-readable codes of failures."""

    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    AUTH_ERROR = "AUTH_ERROR"
    FORBIDDEN = "FORBIDDEN"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"


class Meta(Schema):
    timestamp = fields.DateTime(required=True, metadata={"description": "When this was answered, UTC"})
    version = fields.String(required=True)
    correlation_id = fields.String(
        required=True, metadata={"description": f"Also in the {CORRELATION_HEADER} header and the log"}
    )


class ErrorBody(Schema):
    code = fields.String(required=True, validate=validate.OneOf(list(ErrorCode)), metadata={"example": "VALIDATION_ERROR"})
    message = fields.String(required=True)
    details = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        required=True,
        metadata={
            "description": "Reasons by field or dependency; may be empty",
            "example": {"student_id": ["Must be 1 to 50 letters, digits, _ or -."]},
        },
    )


class Failure(Schema):
    success = fields.Boolean(required=True, metadata={"example": False})
    error = fields.Nested(ErrorBody, required=True)
    meta = fields.Nested(Meta, required=True)


def envelope(data: type[Schema]) -> type[Schema]:
    """The schema of a successful answer with this data, for the OpenAPI document."""
    return Schema.from_dict(
        {
            "success": fields.Boolean(required=True, metadata={"example": True}),
            "data": fields.Nested(data, required=True),
            "meta": fields.Nested(Meta, required=True),
        },
        name=f"{data.__name__}Answer",
    )


def success(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A successful answer."""
    return _respond({"success": True, "data": data, "meta": _meta(engine().clock(), correlation_id())}, status, headers)


def streamed_success(data: Iterator[bytes]) -> Response:
    """A successful answer that is sent while its data, JSON text in parts, is made."""
    return Response(_enveloped(data, encode(_meta(engine().clock(), correlation_id()))), 200, mimetype="application/json")


def failure(
    status: int,
    code: ErrorCode,
    message: str,
    details: dict[str, list[str]] | None = None,
    headers: dict[str, str] | None = None,
    *,
    data: Any = None,
) -> Response:
    """A failed answer; ``details`` are reasons by field, cut to the limits above. ``data`` is what can be told nevertheless."""
    shown, more = _first(details or {})
    if more:
        message = f"{message} {MAX_PROBLEMS} problems are told, {more} more are not."
    body = envelope_of_failure(code, message, shown, engine().clock(), correlation_id())
    return _respond(body if data is None else body | {"data": data}, status, headers)


def envelope_of_failure(
    code: ErrorCode, message: str, details: dict[str, list[str]], now: datetime, correlation: str
) -> dict[str, Any]:
    """A failure's body; works without a Flask request context."""
    error = {"code": code, "message": message, "details": details}
    return {"success": False, "error": error, "meta": _meta(now, correlation)}


def correlation_id() -> str:
    """The id of this request: the caller's, or a new one."""
    current = context()
    if not current.correlation_id:
        given = request.environ.get(_CORRELATION_VARIABLE, "")
        current.correlation_id = given if _SAFE_ID.fullmatch(given) else _new_id()
    return current.correlation_id


def _new_id() -> str:
    """A random UUID. It need not be cryptographically random, and the system's generator releases the GIL."""
    return str(UUID(int=getrandbits(128), version=4))


def register_correlation(app: Flask) -> None:
    """Add the correlation id to every answer."""

    @app.after_request
    def add_correlation_header(response: Response) -> Response:
        response.headers[CORRELATION_HEADER] = correlation_id()
        return response


def _respond(body: dict[str, Any], status: int, headers: dict[str, str] | None) -> Response:
    return Response(encode(body), status, headers, mimetype="application/json")


def _enveloped(data: Iterator[bytes], meta: bytes) -> Iterator[bytes]:
    yield b'{"success":true,"data":'
    yield from data
    yield b',"meta":' + meta + b"}"


def _first(details: dict[str, list[str]]) -> tuple[dict[str, list[str]], int]:
    """The first problems, with truncated texts, and the number of the others."""
    problems = [(name, reason) for name, reasons in details.items() for reason in reasons]
    shown: dict[str, list[str]] = {}
    for name, reason in problems[:MAX_PROBLEMS]:
        shown.setdefault(_beginning(name), []).append(_beginning(reason))
    return shown, max(0, len(problems) - MAX_PROBLEMS)


def _beginning(text: str) -> str:
    """The text, truncated, with surrogates escaped, which a query string that is not UTF-8 contains."""
    shown = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
    return shown.encode(errors="backslashreplace").decode()


def _meta(now: datetime, correlation: str) -> dict[str, str]:
    timestamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": timestamp, "version": VERSION, "correlation_id": correlation}
