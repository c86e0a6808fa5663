"""Security headers of every response, and CORS: which pages of other origins may call the API (the Fetch standard)."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
import requests
from werkzeug.test import TestResponse

from app.bootstrap import bootstrap
from app.config.settings import Settings
from app.roles import Role
from app.security.tokens import development_token
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi, LiveApi

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
DOCS_POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
}
# Method, path and body; the status of the response. Every way a response is made.
REQUESTS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "an answer": (200, "GET", "/health", {}),
    "HEAD": (200, "HEAD", "/health", {}),
    "the document": (200, "GET", "/openapi.json", {}),
    "the page": (200, "GET", "/docs", {}),
    "a file": (200, "GET", "/docs/assets/swagger-ui.css", {}),
    "a part of a file": (206, "GET", "/docs/assets/swagger-ui.css", {"headers": {"Range": "bytes=0-9"}}),
    "an unchanged file": (304, "GET", "/docs/start.js", {"headers": {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}}),
    "broken JSON": (400, "POST", "/mastery/query", {"data": "{", "content_type": "application/json"}),
    "no token": (401, "POST", "/mastery/query", {"json": {}, "headers": {"Authorization": ""}}),
    "no such route": (404, "GET", "/nowhere", {}),
    "no such file": (404, "GET", "/docs/assets/none.js", {}),
    "no such student": (404, "POST", "/mastery/query", {"json": {"student_id": "s-1"}}),
    "no such method": (405, "DELETE", "/health", {}),
    "too large": (413, "POST", "/mastery/query", {"data": b"x" * 2_000_001, "content_type": "application/json"}),
    "not JSON": (415, "POST", "/mastery/query", {"data": "x", "content_type": "text/plain"}),
    "not valid": (422, "POST", "/mastery/query", {"json": {}}),
    "not ready": (503, "GET", "/ready", {}),
}


def send(api: FixedTimeApi, method: str, path: str, options: dict[str, Any]) -> TestResponse:
    """Call the API as an admin of t-1, unless the headers say otherwise."""
    token = development_token(api.engine.settings, role=Role.ADMIN, tenant="t-1", subject="tester", now=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {token}", **options.get("headers", {})}
    return api.client.open(path, method=method, **{**options, "headers": headers})


@contextmanager
def api_with(settings: Settings, **changes: Any) -> Iterator[FixedTimeApi]:
    engine = bootstrap(dataclasses.replace(settings, **changes), clock=lambda: NOW)
    yield FixedTimeApi(engine)
    engine.redis.close()


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_answer_is_protected(api: FixedTimeApi, request_: str) -> None:
    """Every response forbids sniffing, framing, referrers, loading of resources and, except for files, caching."""
    status, method, path, options = REQUESTS[request_]
    with send(api, method, path, options) as answer:
        headers = answer.headers
    assert answer.status_code == status
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in headers
    assert not [name for name, _ in headers if name.startswith("Access-Control") or name == "Vary"]
    if path == "/docs":
        assert set(headers["Content-Security-Policy"].split("; ")) == DOCS_POLICY
    else:
        assert headers.getlist("Content-Security-Policy") == [API_POLICY]
    is_file = path.startswith("/docs/") and status < 400
    assert headers["Cache-Control"] == ("no-cache" if is_file else "no-store")


def test_an_unexpected_failure_is_protected(api: FixedTimeApi) -> None:
    """Internal errors have the headers too."""

    def fail() -> NoReturn:
        raise ZeroDivisionError

    api.client.application.view_functions["health.alive"] = fail
    answer = api.client.get("/health")
    assert answer.status_code == 500
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == API_POLICY
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/health", "/docs", "/nowhere", "/docs/start.js"])
def test_https_is_remembered_in_production(settings: Settings, path: str) -> None:
    """In production, browsers must use HTTPS for a year, also on subdomains."""
    with api_with(settings, env="production") as api, api.client.get(path) as answer:
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/docs", "/docs/assets/swagger-ui.css", "/mastery/query"])
def test_nobody_learns_what_serves(live_api: LiveApi, path: str) -> None:
    """The real server reveals neither its name nor its version."""
    answer = requests.get(live_api.url + path, timeout=30)
    assert answer.headers["Server"] == "mastery"
    assert "gunicorn" not in str(answer.headers).lower()
    assert "werkzeug" not in str(answer.headers).lower()


def test_the_page_has_no_script_or_style_in_it(api: FixedTimeApi) -> None:
    """Scripts and styles are in files, since the policy forbids inline ones."""
    page = api.client.get("/docs").text
    assert page.count("<script src=") == page.count("<script") == 2
    assert "<style" not in page
    assert "style=" not in page


SCHOOL, OTHER = "https://school.example", "http://localhost:3000"
READABLE = {
    "X-Correlation-ID",
    "Location",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Idempotent-Replayed",
}
ROUTES = [
    ("GET", "/health"),
    ("GET", "/nowhere"),
    ("POST", "/mastery/query"),
    ("PUT", "/mastery/query"),
    ("GET", "/openapi.json"),
]


def cors(answer: TestResponse) -> dict[str, str]:
    """The CORS headers of a response."""
    return {name: value for name, value in answer.headers if name.startswith("Access-Control")}


def preflight(
    api: FixedTimeApi, origin: str, path: str = "/mastery/query", method: str = "POST", fields: str = ""
) -> TestResponse:
    """A browser's preflight: without the page's token."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": fields}
    return api.client.options(path, headers=headers)


@pytest.fixture
def shared(settings: Settings) -> Iterator[FixedTimeApi]:
    """An API that pages of two origins may call."""
    with api_with(settings, cors_origins=f"{SCHOOL}, {OTHER}") as api:
        yield api


@pytest.mark.parametrize("origin", [SCHOOL, OTHER])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_listed_origins_read_answers(shared: FixedTimeApi, origin: str, method: str, path: str) -> None:
    """A page of a listed origin may read every response, also errors, and the headers it needs; never with credentials."""
    answer = shared.client.open(path, method=method, headers={"Origin": origin})
    told = cors(answer)
    assert told.pop("Access-Control-Allow-Origin") == origin
    assert set(told.pop("Access-Control-Expose-Headers").split(", ")) == READABLE
    assert told == {}
    assert answer.headers["Vary"] == "Origin"


FOREIGN = [
    "https://evil.example",
    "http://school.example",
    "https://school.example:8443",
    "https://school.example.evil.example",
    "https://evilschool.example",
    "https://schoolxexample",
    "https://a.school.example",
    "https://school.example/",
    f"{SCHOOL}, {OTHER}",
    "null",
    "*",
    "",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_other_origins_read_nothing(shared: FixedTimeApi, origin: str, method: str, path: str) -> None:
    """Pages of other origins, and of similar ones, may read no response; caches keep them apart."""
    answer = shared.client.open(path, method=method, headers={"Origin": origin})
    assert cors(answer) == {}
    assert answer.headers["Vary"] == "Origin"
    assert cors(preflight(shared, origin, path, method)) == {}


def test_callers_that_are_no_pages(shared: FixedTimeApi) -> None:
    """A request without an origin works as usual."""
    assert cors(shared.client.get("/health")) == {}


def test_one_origin(settings: Settings) -> None:
    """With a single listed origin, responses still vary by origin, and say so."""
    with api_with(settings, cors_origins=SCHOOL) as api:
        for origin, told in ((SCHOOL, SCHOOL), ("https://evil.example", None)):
            answer = api.client.get("/health", headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == told
            assert answer.headers["Vary"] == "Origin"


def test_a_browser_may_ask_first(shared: FixedTimeApi) -> None:
    """A preflight needs no token; it lists existing methods and allowed headers, for ten minutes."""
    fields = "authorization, content-type, idempotency-key, prefer, x-correlation-id, traceparent"
    answer = preflight(shared, SCHOOL, fields=fields)
    told = cors(answer)
    assert (answer.status_code, answer.data) == (200, b"")
    assert told["Access-Control-Allow-Origin"] == SCHOOL
    assert set(told["Access-Control-Allow-Headers"].split(", ")) == set(fields.split(", "))
    assert told["Access-Control-Max-Age"] == "600"
    assert "Access-Control-Allow-Credentials" not in told
    rules = shared.client.application.url_map.iter_rules()
    methods = set().union(*(rule.methods or () for rule in rules)) - {"OPTIONS"}
    assert set(told["Access-Control-Allow-Methods"].split(", ")) == methods >= {"GET", "POST"}


def test_headers_that_a_page_may_not_send(shared: FixedTimeApi) -> None:
    """Requested headers that the API does not know are not allowed."""
    told = cors(preflight(shared, SCHOOL, fields="Authorization, X-Forwarded-For, Cookie"))
    assert told["Access-Control-Allow-Headers"] == "Authorization"


def test_a_preflight_is_no_way_in(shared: FixedTimeApi) -> None:
    """OPTIONS only returns a route's methods; the actual call still needs a token."""
    answer = preflight(shared, SCHOOL)
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert shared.client.post("/mastery/query", json={"student_id": "s-1"}, headers={"Origin": SCHOOL}).status_code == 401
    assert preflight(shared, SCHOOL, "/nowhere").status_code == 404


def test_any_origin(settings: Settings) -> None:
    """`*`, which only development accepts, allows every page, but never with credentials."""
    with api_with(settings, cors_origins="*") as api:
        told = cors(api.client.get("/health", headers={"Origin": "https://evil.example"}))
        told |= cors(preflight(api, "https://evil.example"))
        assert told["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in told


@pytest.mark.parametrize("origins", ["", " , "])
def test_no_origins(settings: Settings, origins: str) -> None:
    """Without a list no page may call, and no route has the method OPTIONS."""
    with api_with(settings, cors_origins=origins) as api:
        assert cors(api.client.get("/health", headers={"Origin": SCHOOL})) == {}
        answer = preflight(api, SCHOOL)
        assert (answer.status_code, answer.headers["Allow"], cors(answer)) == (405, "POST", {})
