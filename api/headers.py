"""What every answer says to browsers, and which pages may call the API.

Sources: OWASP's HTTP Headers Cheat Sheet; Content Security Policy Level 3; RFC 6797 (HSTS); the Fetch standard (CORS).
"""

from flask import Flask, Response, request
from flask_cors import CORS

from api.idempotency import REPLAYED
from api.openapi import DOCS_PAGE
from api.responses import CORRELATION_HEADER
from app.config.settings import Settings, listed
from app.idempotency.idempotency_keys import HEADER as IDEMPOTENCY_HEADER

# A JSON answer loads nothing, whatever it contains and however it is opened.
NOTHING_IS_LOADED = "default-src 'none'; frame-ancestors 'none'"
# The page of the routes loads what the engine serves, and calls the engine. Swagger UI's images are in its stylesheet.
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
# Answers are about persons, or about this moment.
NOT_STORED = {"Cache-Control": "no-store"}
_HSTS = "max-age=31536000; includeSubDomains"  # a year: what browsers' preload lists ask for

# What a page of another origin may send, and may read beside the body.
_REQUEST_HEADERS = ["Authorization", "Content-Type", IDEMPOTENCY_HEADER, "Prefer", CORRELATION_HEADER, "traceparent"]
_ANSWER_HEADERS = [
    CORRELATION_HEADER,
    "Location",
    "Retry-After",
    *(f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")),
    REPLAYED,
]
_PREFLIGHT_SECONDS = 600  # then a browser asks again: an origin that was taken off the list is let in for that long


def protection(settings: Settings, policy: str = NOTHING_IS_LOADED) -> dict[str, str]:
    """The headers that protect any answer, the server's own refusals too; the policy is for its content."""
    hsts = {"Strict-Transport-Security": _HSTS} if settings.env == "production" else {}
    return {**_ALWAYS, **hsts, "Content-Security-Policy": policy}


def register_headers(app: Flask, settings: Settings) -> None:
    """Protect every answer that leaves the application, failures and files too."""
    usual, of_docs = protection(settings), protection(settings, _DOCS)

    @app.after_request
    def protect(response: Response) -> Response:
        headers = response.headers
        # Nothing else sets these, so they need not be looked for, each of them, among those that are there.
        headers.extend(of_docs if request.endpoint == DOCS_PAGE else usual)
        for name, value in NOT_STORED.items():  # but files, which may be kept if they are asked for again
            headers.setdefault(name, value)
        return response


def register_cors(app: Flask, settings: Settings) -> None:
    """Let pages of the origins in the settings call the routes, which must all be registered.

    Tokens are sent in a header by the page's own script; cookies and the like are never asked for. ``*``, which production
    refuses, lets any page in.
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
        intercept_exceptions=False,  # failures are answered before this looks at them
    )

    @app.after_request
    def vary(response: Response) -> Response:
        response.vary.add("Origin")  # flask-cors says so only where there are several origins
        return response
