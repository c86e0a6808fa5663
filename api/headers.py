"""Security headers of every answer, and CORS.

Sources: OWASP's HTTP Headers Cheat Sheet; Content Security Policy Level 3; RFC 6797 (HSTS); the Fetch standard (CORS).
"""

from flask import Flask, Response
from flask_cors import CORS

from api.idempotency import REPLAYED
from api.openapi import DOCS_PAGE
from api.rate_limits import LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER
from api.request_context import context
from api.responses import CORRELATION_HEADER
from app.config.field_types import listed
from app.config.settings import Settings
from app.idempotency.idempotency_keys import HEADER as IDEMPOTENCY_HEADER

# For JSON answers: a browser that opens one loads nothing, whatever it contains.
NOTHING_IS_LOADED = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI loads files from the engine and calls it. Its images are in its stylesheet, as data.
_DOCS = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "Referrer-Policy": "no-referrer",
}
# Answers contain personal data or change at any moment.
NOT_STORED = {"Cache-Control": "no-store"}
_HSTS = "max-age=31536000; includeSubDomains"  # a year, as required by browsers' preload lists

# Headers that pages of other origins may send and read.
_REQUEST_HEADERS = ["Authorization", "Content-Type", IDEMPOTENCY_HEADER, "Prefer", CORRELATION_HEADER, "traceparent"]
_ANSWER_HEADERS = [
    CORRELATION_HEADER,
    "Location",
    "Retry-After",
    LIMIT_HEADER,
    REMAINING_HEADER,
    RESET_HEADER,
    REPLAYED,
]
_PREFLIGHT_SECONDS = 600  # how long browsers cache a preflight, and so a removed origin keeps access


def protection(settings: Settings, policy: str = NOTHING_IS_LOADED) -> dict[str, str]:
    """The security headers of every answer; ``policy`` is its Content-Security-Policy."""
    hsts = {"Strict-Transport-Security": _HSTS} if settings.env == "production" else {}
    return {**_ALWAYS, **hsts, "Content-Security-Policy": policy}


def register_headers(app: Flask, settings: Settings) -> None:
    """Add the security headers to every answer, including failures and files."""
    usual, of_docs = protection(settings), protection(settings, _DOCS)

    @app.after_request
    def protect(response: Response) -> Response:
        headers = response.headers
        # Nothing else sets these, so there is no need to search for existing ones.
        headers.extend(of_docs if context().endpoint == DOCS_PAGE else usual)
        for name, value in NOT_STORED.items():  # not for files, which set their own Cache-Control
            headers.setdefault(name, value)
        return response


def register_cors(app: Flask, settings: Settings) -> None:
    """Allow the origins in the settings to call the routes. Call it after all routes are registered.

    Scripts send tokens in a header; credentials such as cookies are not allowed. ``*``, which production rejects, allows any
    origin.
    """
    origins = listed(settings.cors_origins)
    if not origins:
        return
    CORS(
        app,
        origins=origins,
        methods=sorted({method for rule in app.url_map.iter_rules() for method in rule.methods or ()} - {"OPTIONS"}),
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_ANSWER_HEADERS,
        max_age=_PREFLIGHT_SECONDS,
        supports_credentials=False,
        send_wildcard=True,
        always_send=False,
        intercept_exceptions=False,  # the error handlers have answered failures already
    )

    @app.after_request
    def vary(response: Response) -> Response:
        response.vary.add("Origin")  # flask-cors adds it only for several origins
        return response
