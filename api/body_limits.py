"""Request bodies: how large each route's may be, and that the application sees them whole, or learns that they are not."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, current_app, request

# Of a route that takes no list: its fields need 1 KB. What is wrong with a larger body would take long to find, and to tell.
SMALL_BODY_BYTES = 16_384
PIECE_BYTES = 65_536

View = TypeVar("View", bound=Callable[..., Any])


def takes_a_list(view: View) -> View:
    """Mark a view whose body may be as large as the settings say, since it is a list."""
    view.takes_a_list = True  # type: ignore[attr-defined]
    return view


def register_body_limits(app: Flask) -> None:
    """Let Flask refuse (413) the body of a request that is larger than its route takes."""

    @app.before_request
    def limit() -> None:
        view = current_app.view_functions.get(request.endpoint or "")
        if not getattr(view, "takes_a_list", False):
            request.max_content_length = min(SMALL_BODY_BYTES, current_app.config["MAX_CONTENT_LENGTH"])


class WholeBody:
    """WSGI middleware that reads the body, which the server has at hand, and leaves it to Flask to compare it with its length.

    Flask answers 413 for a length above ``max_bytes``, and 400 for a body that is shorter than its length: it did not arrive
    whole. A body in chunks, which has no length, is given one.
    """

    def __init__(self, application: WSGIApplication, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # A server that does not end the stream where the body ends must not be read beyond it; Flask sees to that itself.
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
        except Exception:  # noqa: BLE001 - a broken chunk, a body that was cut: each server has its own errors for them
            size += 1  # what did not come counts, so that the body is shorter than its length
        body.seek(0)
        environ["wsgi.input"] = body
        environ.setdefault("CONTENT_LENGTH", str(size))
        codings = [coding.strip() for coding in environ.pop("HTTP_TRANSFER_ENCODING", "").lower().split(",")]
        if left := [coding for coding in codings if coding not in {"", "chunked"}]:
            environ["HTTP_CONTENT_ENCODING"] = ", ".join(left)  # the server undoes chunks only: for the parser to refuse
