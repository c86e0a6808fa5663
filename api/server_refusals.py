"""Answers to requests that do not reach the application (malformed, too large, too slow), in the same envelope."""

import logging
from collections.abc import Mapping
from email.utils import format_datetime
from http import HTTPStatus
from uuid import uuid4

import msgspec

from api.headers import NOT_STORED
from api.responses import CORRELATION_HEADER, ErrorCode, envelope_of_failure
from app.clock import system_clock

_MESSAGES = {
    400: "This is not a request that can be read (RFC 9112).",
    408: "The request did not arrive in time.",
    414: "The request's first line is too long.",
    417: "Expect may only be 100-continue.",
    431: "The headers are too large, or too many.",
    501: "The only transfer coding is chunked.",
    503: "The service is busy; try again later.",
    505: "Speak HTTP/1.1.",
}
_CODES = {500: ErrorCode.INTERNAL_ERROR, 503: ErrorCode.SERVICE_UNAVAILABLE}
RETRY_AFTER_SECONDS = "5"
_log = logging.getLogger(__name__)


def refusal(status: int, reason: str, protection: Mapping[str, str]) -> bytes:
    """Log a rejected request, and return the bytes of its answer, after which the connection ends.

    Args:
        status: HTTP status.
        reason: for the log; must not quote the request.
        protection: the security headers.

    Returns:
        The answer: status line, headers and body.
    """
    code = _CODES.get(status, ErrorCode.MALFORMED_REQUEST)
    message = _MESSAGES.get(status, "The service failed.")
    correlation_id = str(uuid4())
    _log.info("a request cannot be read: %s, answered %d, correlation id %s", reason, status, correlation_id)
    now = system_clock()
    body = msgspec.json.encode(envelope_of_failure(code, message, {}, now, correlation_id))
    headers = {
        **protection,
        **NOT_STORED,
        "Server": "mastery",
        "Date": format_datetime(now, usegmt=True),
        CORRELATION_HEADER: correlation_id,
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **({"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
