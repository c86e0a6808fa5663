"""A request and its body are freed when it has ended, without the garbage collector, which would run too rarely."""

import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from weakref import ReferenceType, ref

import pytest
from flask import Flask, request, request_started
from werkzeug.test import EnvironBuilder

from app.roles import Role
from app.security.tokens import development_token
from tests.integration.conftest import FixedTimeApi


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("method", "path", "has_token", "status"),
    [
        ("GET", "/openapi.json", False, 200),
        ("GET", "/audit", True, 200),
        ("POST", "/mastery/query", True, 404),
        ("POST", "/mastery/query", False, 401),
    ],
)
@pytest.mark.usefixtures("without_collector")
def test_nothing_keeps_a_request(api: FixedTimeApi, method: str, path: str, *, has_token: bool, status: int) -> None:
    """This holds for requests with a response, and for those rejected before or after authentication."""
    now = datetime.now(UTC)
    token = development_token(api.engine.settings, role=Role.ADMIN, tenant="t-1", subject="tester", cohorts=(), now=now)
    headers = [("Authorization", f"Bearer {token}")] if has_token else []
    body = {"student_id": "s-1"} if method == "POST" else None
    api.call(path, body, method=method)  # the first one loads scripts, after errors that are kept together
    environ = EnvironBuilder(path, method=method, headers=headers, json=body).get_environ()
    requests: list[ReferenceType[object]] = []
    statuses: list[str] = []

    def begun(_app: Flask, **_: object) -> None:
        requests.append(ref(request._get_current_object()))  # type: ignore[attr-defined]  # of the proxy

    def start(answer: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(answer)
        return bytes

    with request_started.connected_to(begun):
        parts: Any = api.client.application.wsgi_app(environ, start)
        list(parts)
        parts.close()
    environ.clear()  # like api/http_worker.py
    assert [int(each[:3]) for each in statuses] == [status]
    assert [each() for each in requests] == [None]
