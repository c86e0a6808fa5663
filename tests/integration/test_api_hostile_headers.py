"""Hostile headers: rejected in the envelope or ignored. None breaks anything, and all requests are counted."""

import dataclasses
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from api.responses import MAX_TEXT
from app.bootstrap import bootstrap
from app.config.settings import Settings
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi
from tests.stack import RAISED_LIMITS

# In WSGI's form: those that the engine, Flask, Werkzeug or one of their libraries reads.
NAMES = [
    *("HTTP_AUTHORIZATION", "HTTP_PREFER", "HTTP_IDEMPOTENCY_KEY", "HTTP_TRACEPARENT", "HTTP_X_CORRELATION_ID"),
    *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_FORWARDED"),
    *("HTTP_HOST", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"),
    *("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_COOKIE", "HTTP_CACHE_CONTROL", "HTTP_USER_AGENT"),
    *("HTTP_ORIGIN", "HTTP_ACCESS_CONTROL_REQUEST_METHOD", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "HTTP_REFERER"),
    *(
        "HTTP_RANGE",
        "HTTP_IF_RANGE",
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_UNMODIFIED_SINCE",
    ),
    *("QUERY_STRING", "REMOTE_ADDR", "REQUEST_METHOD"),
]
VALUES = [
    *(
        "",
        " ",
        ",",
        ", ,",
        ",,,,",
        ";",
        ";;==",
        "=",
        '"',
        '"\\',
        "\\",
        "%",
        "%00",
        "%ff=%ff&%ff",
        "..",
        "<script>",
        "{0}",
        "%s",
        "*",
    ),
    *("\xff", "\xe9=\xe9", "\x00", "\x7f", "\t", "a" * 8000, "," * 8000, "9" * 400, "0", "-1", "+1", "1e9", "a=b; a", "=;="),
    *(
        "bearer",
        "Bearer ,",
        "Bearer a b",
        "Bearer a, Bearer b",
        "Bearer \xe9.\xff.\x80",
        "Bearer a.b.c",
        "Bearer ..",
        "Basic \xff",
    ),
    *("respond-async, ,", "respond-async;;", "[::1", "a:b:c", "a:99999999", "127.0.0.1:x", "chunked, chunked", "gzip"),
    *(
        "application/json; charset=nope",
        'application/json; charset="',
        "multipart/form-data; boundary=",
        "*/*;q=nan",
        "*/*;q=1e999",
    ),
    *("bytes=-", "bytes=9-1,,", 'W/"', "Thu, 99 Foo 0000", "Mon, 01 Jan 99999 00:00:00 GMT"),
]
ROUTES = [
    ("POST", "/mastery/calculate"),
    ("POST", "/mastery/ingest"),
    ("GET", "/audit"),
    ("GET", "/docs/start.js"),
    ("GET", "/nowhere"),
]


@pytest.fixture
def generous(settings: Settings) -> Iterator[FixedTimeApi]:
    """The API behind one proxy, for pages of one origin, with limits that are not reached."""
    limits: dict[str, Any] = {name.removeprefix("MASTERY_").lower(): limit for name, limit in RAISED_LIMITS.items()}
    changed = dataclasses.replace(settings, **limits, http_trusted_proxies=1, cors_origins="https://school.example")
    engine = bootstrap(changed, clock=lambda: NOW)
    yield FixedTimeApi(engine)
    engine.redis.close()


@pytest.mark.parametrize("name", NAMES)
def test_no_header_breaks_anything(generous: FixedTimeApi, name: str) -> None:
    """The status is below 500; errors are in the envelope, have a bounded length, and are counted."""
    for (method, path), value in product(ROUTES, VALUES):
        body: object = {} if method == "POST" else None
        with generous.call(path, body, method=method, environ={name: value}) as answer:
            seen = (answer.status_code, method, path, value)
            assert answer.status_code < 500, seen
            assert "X-RateLimit-Limit" in answer.headers, seen
            if answer.status_code >= 400:
                assert (answer.mimetype, len(answer.get_data()) < 20 * MAX_TEXT) == ("application/json", True), seen


@pytest.mark.parametrize(
    "authorization", [", ,", ",", "Bearer , ,", "Bearer a,b", "Bearer é", "Bearer  ", "Bearer a\tb", "bearer"]
)
def test_what_is_no_bearer_token(api: FixedTimeApi, authorization: str) -> None:
    """401 on every route, counted for the address."""
    for method, path in (("POST", "/mastery/query"), ("POST", "/auth/revoke"), ("GET", "/audit")):
        headers = {"Authorization": authorization.encode().decode("latin-1")}
        answer = api.client.open(path, method=method, headers=headers)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, "AUTH_ERROR")
        assert answer.headers["X-RateLimit-Limit"] == "300"
