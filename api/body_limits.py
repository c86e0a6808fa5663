"""Request bodies: a size limit for each route, and detection of incomplete bodies."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, request

from api.request_context import context

# For routes that take no list: their fields need 1 KB. Validation errors of larger bodies would take long to collect.
SMALL_BODY_BYTES = 16_384
PIECE_BYTES = 65_536

View = TypeVar("View", bound=Callable[..., Any])


def takes_a_list(view: View) -> View:
    """Mark a view whose body is a list and may be as large as the settings allow."""
    view.takes_a_list = True  # type: ignore[attr-defined]
    return view


def register_body_limits(app: Flask) -> None:
    """Make Flask reject (413) bodies above the route's limit."""
    small = min(SMALL_BODY_BYTES, app.config["MAX_CONTENT_LENGTH"])

    @app.before_request
    def limit() -> None:
        if not getattr(context().view, "takes_a_list", False):
            request.max_content_length = small


class WholeBody:
    """WSGI middleware that reads the whole body from the server's buffer, and sets its length if it is chunked.

    Flask then answers 413 if the length is above ``max_bytes``, and 400 if the body is shorter than its length (incomplete).
    """

    def __init__(self, application: WSGIApplication, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Without this flag, the stream may not end with the body; Flask then limits the read itself.
        if environ.pop("wsgi.input_terminated", False):
            self._read(environ)
        return self._application(environ, start_response)

    def _read(self, environ: WSGIEnvironment) -> None:
        source, body, size = environ["wsgi.input"], BytesIO(), 0
        try:
            while piece := source.read(PIECE_BYTES):
                size += len(piece)
                if size <= self._max_bytes:
                    body.write(piece)
        except Exception:  # noqa: BLE001 - a malformed chunk or an incomplete body: the error depends on the server
            size += 1  # makes the body shorter than its length
        body.seek(0)
        environ["wsgi.input"] = body
        environ.setdefault("CONTENT_LENGTH", str(size))
        codings = [coding.strip() for coding in environ.pop("HTTP_TRANSFER_ENCODING", "").lower().split(",")]
        if left := [coding for coding in codings if coding not in {"", "chunked"}]:
            environ["HTTP_CONTENT_ENCODING"] = ", ".join(left)  # the server decodes only chunks; the parser rejects these
