"""Common to all routes: the envelope, the correlation id, routing errors; and the public routes."""

import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

import pytest
import requests

from tests.integration.conftest import FixedTimeApi, LiveApi

SAFE_IDS = ["order-66", "a", "x" * 64, "A.b_c-9", "5d1c6c9e-5b43-4a35-9d5b-3f1a9c7f4a10"]
UNSAFE_IDS = ["", "x" * 65, "a b", "a/b", "a;b", "<script>", "a\tb", "é", "%0a", "{}", "'; DROP"]


def get(live_api: LiveApi, path: str, **headers: str) -> requests.Response:
    return requests.get(live_api.url + path, headers=headers, timeout=30)


def test_envelope_of_success(live_api: LiveApi) -> None:
    """Success, data and meta: time, version, and the id that is also in the header."""
    answer = get(live_api, "/health")
    told = answer.json()
    assert list(told) == ["success", "data", "meta"]
    assert (told["success"], told["data"]) == (True, {"status": "alive"})
    assert_meta(told["meta"], answer)


def test_envelope_of_failure(live_api: LiveApi) -> None:
    """Success, error and meta: a code for programs, a message for people, details by field."""
    answer = live_api.post("/mastery/query", {})
    told = answer.json()
    assert list(told) == ["success", "error", "meta"]
    assert told["success"] is False
    assert told["error"] == {
        "code": "VALIDATION_ERROR",
        "message": "The request is not valid.",
        "details": {"student_id": ["Missing data for required field."]},
    }
    assert_meta(told["meta"], answer)


def assert_meta(meta: dict[str, str], answer: requests.Response) -> None:
    assert list(meta) == ["timestamp", "version", "correlation_id"]
    assert meta["timestamp"].endswith("Z")
    assert abs(datetime.fromisoformat(meta["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert meta["version"] == version("mastery-engine")
    assert meta["correlation_id"] == str(UUID(answer.headers["X-Correlation-ID"]))


def test_time_is_the_engines(api: FixedTimeApi) -> None:
    """The response has the engine's time, to the millisecond."""
    assert api.client.get("/health").get_json()["meta"]["timestamp"] == "2026-10-28T12:00:00.000Z"


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/docs", "/openapi.json"])
@pytest.mark.parametrize("given", SAFE_IDS)
def test_a_safe_correlation_id_is_kept(live_api: LiveApi, path: str, given: str) -> None:
    """A caller's id is in the header of every response, and in its meta."""
    answer = get(live_api, path, **{"X-Correlation-ID": given})
    assert answer.headers["X-Correlation-ID"] == given
    if path in {"/health", "/nowhere"}:
        assert answer.json()["meta"]["correlation_id"] == given


@pytest.mark.parametrize("given", UNSAFE_IDS)
def test_an_unsafe_correlation_id_is_replaced(live_api: LiveApi, given: str) -> None:
    """An id that could not be logged safely is replaced; the request is processed."""
    answer = get(live_api, "/health", **{"X-Correlation-ID": given.encode("latin-1")})  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert_meta(answer.json()["meta"], answer)


def assert_error(answer: requests.Response, status: int, code: str) -> None:
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "Location" not in answer.headers


PATHS = ["/nowhere", "/mastery", "/mastery/", "/mastery/query/", "/Health", "/health/", "/mastery//query", "/docs/"]
PATHS += [
    "/docs/assets/",
    "/docs/assets/none.js",
    "/docs/assets/../__init__.py",
    "/docs/assets/%2e%2e/__init__.py",
    "/%00",
    "/%ff",
    "//health",
    "//audit",
    "///docs",
]


@pytest.mark.parametrize("path", PATHS)
def test_unknown_route(live_api: LiveApi, path: str) -> None:
    """404 in the envelope, with or without a token; a route has one spelling, and there are no redirects."""
    assert_error(raw_get(live_api, path), 404, "NOT_FOUND")
    assert_error(raw_get(live_api, path, live_api.authorization()), 404, "NOT_FOUND")


def raw_get(live_api: LiveApi, path: str, headers: dict[str, str] | None = None) -> requests.Response:
    """GET of exactly this path, which ``requests`` would normalize."""
    with requests.Session() as session:
        prepared = requests.Request("GET", live_api.url, headers=headers).prepare()
        prepared.url = live_api.url + path
        return session.send(prepared, timeout=30, allow_redirects=False)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, "/mastery/query", {"POST"}) for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")),
        *((method, "/health", {"GET", "HEAD"}) for method in ("POST", "DELETE", "OPTIONS")),
        *((method, "/docs", {"GET", "HEAD"}) for method in ("POST", "OPTIONS")),
    ],
)
def test_method_that_a_route_has_not(live_api: LiveApi, method: str, path: str, allowed: set[str]) -> None:
    """405 in the envelope; Allow lists the methods."""
    answer = requests.request(method, live_api.url + path, timeout=30)
    assert_error(answer, 405, "MALFORMED_REQUEST")
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_head(live_api: LiveApi) -> None:
    """HEAD is GET without the body."""
    answer = requests.head(f"{live_api.url}/health", timeout=30)
    assert (answer.status_code, answer.text) == (200, "")


def test_service_information(live_api: LiveApi) -> None:
    """What this service is, and where to read more."""
    expected = {"service": "mastery-engine", "version": version("mastery-engine"), "docs": "/docs", "openapi": "/openapi.json"}
    assert expected == get(live_api, "/").json()["data"]


def test_ready(live_api: LiveApi) -> None:
    """With everything up, every dependency is ok; an invalid token does not matter."""
    for headers in ({}, {"Authorization": "Bearer x"}):
        answer = get(live_api, "/ready", **headers)
        parts = ("redis", "broker", "kafka", "worker", "beat", "bridge", "state")
        data = answer.json()["data"]
        assert (answer.status_code, data["status"], set(data["dependencies"])) == (200, "ready", set(parts))
        for dependency in data["dependencies"].values():
            assert dependency | {"latency_ms": 0, "since": ""} == {
                "status": "ok",
                "problem": None,
                "latency_ms": 0,
                "since": "",
            }
            assert 0 <= dependency["latency_ms"] < 5_000
            assert datetime.fromisoformat(dependency["since"]) <= datetime.now(UTC)


@pytest.fixture
def document(live_api: LiveApi) -> dict[str, Any]:
    told: dict[str, Any] = get(live_api, "/openapi.json").json()
    return told


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


PUBLIC = {"GET /", "GET /health", "GET /ready"}
PROTECTED = {
    "POST /mastery/query",
    "POST /mastery/calculate",
    "POST /mastery/ingest",
    "POST /predictions/next-week",
    "POST /predictions/trajectory",
    "GET /predictions/at-risk",
    "GET /predictions/accuracy",
    "POST /recommendations/adaptive",
    "POST /recommendations/learning-path",
    "POST /analytics/mastery-history",
    "POST /analytics/changes",
    "POST /analytics/compare",
    "GET /analytics/cohorts",
    "GET /analytics/cohorts/{cohort_id}",
    "POST /analytics/compare/cohorts",
    "GET /tasks/{task_id}",
    "POST /auth/revoke",
    "GET /audit",
    "POST /batch/mastery",
    "GET /batch/mastery",
    "GET /batch/mastery/{batch_id}",
    "DELETE /batch/mastery/{batch_id}",
    "GET /batch/mastery/{batch_id}/results",
    "DELETE /student/{student_id}",
    "GET /student/{student_id}/erasure",
    "GET /student/{student_id}/export",
    "GET /student/{student_id}/consent",
    "PUT /student/{student_id}/consent",
}


def test_openapi_names_every_route(document: dict[str, Any]) -> None:
    """OpenAPI 3.1 with every existing route of the design, each with a summary."""
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == version("mastery-engine")
    assert set(operations(document)) == PUBLIC | PROTECTED
    assert all(operation["summary"] for operation in operations(document).values())


def test_openapi_says_who_needs_a_token(document: dict[str, Any]) -> None:
    """A bearer token for all but the public routes, which document 401 and 403."""
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    assert document["security"] == [{"bearer": []}]
    assert {name for name, operation in operations(document).items() if operation.get("security") == []} == PUBLIC
    assert {
        name for name, operation in operations(document).items() if {"401", "403"} <= set(operation["responses"])
    } == PROTECTED


def test_openapi_describes_failures_as_they_are(live_api: LiveApi, document: dict[str, Any]) -> None:
    """Every error has the envelope's schema, with the fields and codes that are really sent."""
    failures = {
        (name, status): resolved(document, response)["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for name, operation in operations(document).items()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    }
    with_data = {("GET /ready", "503"): "NotReady"}
    assert failures == dict.fromkeys(failures, "Failure") | with_data
    assert all({"429", "500"} <= set(operation["responses"]) for operation in operations(document).values())
    bodies = {name: operation for name, operation in operations(document).items() if "requestBody" in operation}
    with_bodies = {name for name in PROTECTED if name.startswith(("POST", "PUT"))}
    assert {name for name in bodies if "422" in bodies[name]["responses"]} == with_bodies
    told = live_api.post("/mastery/query", {}).json()
    schemas = document["components"]["schemas"]
    assert set(schemas["Failure"]["properties"]) == set(told)
    assert set(schemas["ErrorBody"]["properties"]) == set(told["error"])
    assert told["error"]["code"] in schemas["ErrorBody"]["properties"]["code"]["enum"]


def test_openapi_refers_only_to_what_it_contains(document: dict[str, Any]) -> None:
    """Every reference can be resolved."""
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))
    assert references
    assert all(resolved(document, {"$ref": reference}) for reference in references)


def resolved(document: dict[str, Any], element: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in element:
        return element
    found = document
    for name in element["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_docs_come_from_the_engine_alone(live_api: LiveApi) -> None:
    """The page names no other host, has all its files, and sends the document to no validator."""
    page = get(live_api, "/docs")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert not re.search(r"(https?:)?//[a-z]", page.text)
    assert "validatorUrl: null," in get(live_api, "/docs/start.js").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/docs/")
        answer = get(live_api, asset)
        assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, len(answer.content))
    assert re.findall(r'data-document="([^"]+)"', page.text) == ["/openapi.json"]
