"""Rate limits: their period, headers and the callers they count for."""

import logging
import math
import time
from typing import Any

import pytest
from flask import request

from app.bootstrap import Engine
from app.config.settings import Settings
from app.roles import Role
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi, api_with, assert_refused, get, left, token
from tests.learning_events import quiz
from tests.stack import wait_for

QUERY = {"student_id": "s-1"}
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
NAMES = {"Retry-After", *HEADERS}


def test_fifty_a_minute(api: FixedTimeApi) -> None:
    """50 requests are granted, each with the number left; the 51st is rejected, with the time of the next attempt."""
    api.record(quiz())
    for remaining in reversed(range(50)):
        answer = api.post("/mastery/query", QUERY)
        assert answer.status_code == 200
        assert (answer.headers["X-RateLimit-Limit"], left(answer)) == ("50", remaining)
        assert NOW.timestamp() + 30 < int(answer.headers["X-RateLimit-Reset"]) <= NOW.timestamp() + 60
        assert "Retry-After" not in answer.headers
    refused = api.post("/mastery/query", QUERY)
    assert_refused(refused, "50 per minute")
    assert refused.headers["X-RateLimit-Limit"] == "50"
    seconds = int(refused.headers["Retry-After"])
    assert 30 < seconds <= 60
    assert int(refused.headers["X-RateLimit-Reset"]) == NOW.timestamp() + seconds
    assert all(len(refused.headers.getlist(name)) == 1 for name in NAMES)


def test_the_window_moves(settings: Settings) -> None:
    """The limit holds for every period: when the first request leaves the window, one is granted, and no more."""
    with api_with(settings, ratelimit_mastery="2/second") as api:
        began = time.monotonic()
        assert api.post("/mastery/query", QUERY).status_code == 404
        wait_for(lambda: time.monotonic() > began + 0.6, 2)
        assert api.post("/mastery/query", QUERY).status_code == 404
        refused = api.post("/mastery/query", QUERY)
        assert_refused(refused, "2 per second")
        assert refused.headers["Retry-After"] == "1"
        wait_for(lambda: api.post("/mastery/query", QUERY).status_code == 404, 2)
        assert time.monotonic() - began > 0.99
        assert_refused(api.post("/mastery/query", QUERY), "2 per second")


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "another"},
        {"tenant": "t-2"},
        {"role": Role.TEACHER},
        {"role": Role.ADMIN},
        {"role": Role.SERVICE},
    ],
)
def test_each_identity_and_role(settings: Settings, other: dict[str, Any]) -> None:
    """Subject, role and tenant are counted: if one differs it is another caller, whatever the token."""
    caller: dict[str, Any] = {"role": Role.STUDENT, "tenant": "t-1", "subject": "s-1"}
    with api_with(settings, ratelimit_mastery="1/minute") as api:
        assert api.post("/mastery/query", QUERY, **caller).status_code == 404
        assert_refused(api.post("/mastery/query", QUERY, **caller), "1 per minute")
        assert api.post("/mastery/query", QUERY, **{**caller, **other}).status_code in (403, 404)
        assert_refused(api.post("/mastery/query", QUERY, **{**caller, **other}), "1 per minute")


def test_a_role_s_own_limit(settings: Settings) -> None:
    """A role's own limit replaces the general one."""
    with api_with(settings, ratelimit_mastery="1/minute, admin=3/hour") as api:
        assert [left(api.post("/mastery/query", QUERY)) for _ in range(3)] == [2, 1, 0]
        assert_refused(api.post("/mastery/query", QUERY), "3 per hour")
        assert left(api.post("/mastery/query", QUERY, role=Role.STUDENT)) == 0


def test_areas(settings: Settings) -> None:
    """The mastery routes share a limit, ingestion and exports have their own, and all others share one."""
    changes = {"ratelimit_mastery": "20/minute", "ratelimit_ingest": "30/minute", "ratelimit_default": "40/minute"}
    with api_with(settings, **changes) as api:
        assert left(api.post("/mastery/query", QUERY)) == 19
        assert left(api.post("/mastery/calculate", QUERY | {"components": {}})) == 18
        assert left(api.post("/mastery/ingest", {"events": []})) == 29
        assert left(api.post("/auth/revoke", {})) == 39
        assert left(api.call("/student/s-1/export", method="GET")) == 9
        assert left(api.post("/mastery/query", QUERY)) == 17
        headers = {"Authorization": f"Bearer {token(settings)}"}
        task = api.client.get("/tasks/5d1c6c9e-5b43-4a35-9d5b-3f1a9c7f4a10", headers=headers)
        assert (task.status_code, left(task)) == (404, 38)


def test_a_refused_request_does_nothing(settings: Settings) -> None:
    """It is rejected before its body is parsed, nothing is stored or audited, and it does not count."""
    with api_with(settings, ratelimit_ingest="1/minute") as api:
        assert api.post("/mastery/ingest", {"events": [{}]}).status_code == 422
        before = {key: api.engine.redis.dump(key) for key in api.engine.redis.keys(f"{settings.key_prefix}:*")}
        bodies: tuple[Any, ...] = ({"event": quiz()}, {}, {"unknown": 1}, [])
        for body in bodies:
            assert_refused(api.post("/mastery/ingest", body), "1 per minute")
        after = {key: api.engine.redis.dump(key) for key in api.engine.redis.keys(f"{settings.key_prefix}:*")}
        assert after == before


def test_failures_count(settings: Settings) -> None:
    """Invalid, forbidden and not-found requests count too."""
    with api_with(settings, ratelimit_mastery="3/minute") as api:
        bodies: tuple[Any, ...] = ({}, [], QUERY, QUERY)
        assert [api.post("/mastery/query", body).status_code for body in bodies] == [422, 422, 404, 429]
        codes = [api.post("/mastery/query", QUERY, role=Role.SERVICE).status_code for _ in range(4)]
        assert codes == [403, 403, 403, 429]


def test_guessing_tokens(settings: Settings) -> None:
    """Requests without a valid token count for their address, on any route; callers with a token are not affected.

    Neither are the public routes: clients at the same address can still call them.
    """
    with api_with(settings, ratelimit_anonymous="3/minute") as api:
        answers = [
            api.client.post("/mastery/query", json=QUERY),
            api.client.post("/mastery/ingest", json={}, headers={"Authorization": "Bearer guess"}),
            get(api, "/nowhere"),
        ]
        assert [(answer.status_code, left(answer)) for answer in answers] == [(401, 2), (401, 1), (404, 0)]
        assert_refused(api.client.post("/mastery/query", json=QUERY), "3 per minute")
        assert_refused(get(api, "/nowhere"), "3 per minute")
        assert api.post("/mastery/query", QUERY).status_code == 404
        assert get(api, "/nowhere", address="127.0.0.2").status_code == 404
        assert [(get(api, path).status_code) for path in ("/", "/openapi.json", "/docs")] == [200, 200, 200]
        headers = {"Authorization": f"Bearer {token(settings)}"}
        assert_refused(api.client.get("/", headers=headers), "3 per minute")  # where a token does not matter


def test_probes(settings: Settings) -> None:
    """/health has no limit; /ready, which calls every worker, has its own for each address."""
    with api_with(settings, ratelimit_anonymous="1/minute") as api:
        for _ in range(3):
            answer = get(api, "/health")
            assert answer.status_code == 200
            assert not NAMES & set(answer.headers.keys())
        assert [get(api).status_code for _ in range(2)] == [200, 429]
        assert [get(api, "/ready").status_code for _ in range(2)] == [503, 429]  # there is no worker


def test_a_preflight_is_not_counted(settings: Settings) -> None:
    """Junk from an address blocks no browser behind it; preflights for unknown routes count."""
    with api_with(settings, ratelimit_anonymous="1/minute", cors_origins="https://school.example") as api:
        headers = {"Origin": "https://school.example", "Access-Control-Request-Method": "POST"}
        assert [api.client.options("/nowhere", headers=headers).status_code for _ in range(2)] == [404, 429]
        for _ in range(3):
            answer = api.client.options("/mastery/query", headers=headers)
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://school.example")
            assert not NAMES & set(answer.headers.keys())
        assert api.post("/mastery/query", QUERY).status_code == 404


def test_a_request_that_fails_unexpectedly_is_counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with its token: no request goes uncounted."""
    monkeypatch.setattr("api.authentication.verify_jwt_in_request", lambda **_: 1 / 0)
    with api_with(settings, ratelimit_anonymous="2/minute") as api:
        assert [api.post("/mastery/query", QUERY).status_code for _ in range(3)] == [500, 500, 429]


def test_who_is_refused_is_in_no_log(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """flask-limiter logs the key of a rejected caller: an area, without subject, tenant or address."""
    caplog.set_level(logging.DEBUG)
    with api_with(settings, ratelimit_mastery="1/minute", ratelimit_anonymous="1/minute") as api:
        assert [api.post("/mastery/query", QUERY, subject="jane-doe", tenant="t-7").status_code for _ in range(2)] == [404, 429]
        assert [get(api, "/nowhere", "192.0.2.77").status_code for _ in range(2)] == [404, 429]
    assert [record.getMessage() for record in caplog.records if record.name == "flask-limiter"] == [
        "ratelimit 1 per 1 minute (mastery) exceeded at endpoint: global",
        "ratelimit 1 per 1 minute (anonymous) exceeded at endpoint: global",
    ]
    assert not [text for text in caplog.messages if any(name in text for name in ("jane-doe", "t-7", "s-1", "192.0.2.77"))]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),  # a host chooses the second half
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),  # in the form of a dual-stack socket
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "unix:", True),
    ],
)
def test_addresses(settings: Settings, one: str, other: str, is_same: bool) -> None:
    """An IPv4 address counts alone; addresses of an IPv6 network, and invalid ones, count together."""
    with api_with(settings, ratelimit_anonymous="2/minute") as api:
        assert left(get(api, "/", one)) == 1
        assert left(get(api, "/", other)) == (0 if is_same else 1)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted"),
    [
        (0, "192.0.2.9", "127.0.0.1"),
        (1, "192.0.2.9", "192.0.2.9"),
        (1, "203.0.113.66, 192.0.2.9", "192.0.2.9"),  # the first one is claimed by the client
        (2, "203.0.113.66, 192.0.2.9, 10.0.0.1", "192.0.2.9"),
        (2, "192.0.2.9", "127.0.0.1"),  # bypassed a proxy
    ],
)
def test_trusted_proxies(settings: Settings, proxies: int, forwarded: str, counted: str) -> None:
    """The configured number of proxies is trusted, counted from the engine; a client cannot choose its address."""
    with api_with(settings, ratelimit_anonymous="1/minute", http_trusted_proxies=proxies) as api:
        assert get(api, X_Forwarded_For=forwarded).status_code == 200
        assert [key.decode().rpartition("rate:public:")[2] for key in windows(api.engine)] == [counted]
        assert_refused(get(api, X_Forwarded_For=forwarded), "1 per minute")
        assert get(api, X_Forwarded_For=forwarded, address="127.0.0.9").status_code == (429 if counted == "192.0.2.9" else 200)


def windows(engine: Engine) -> list[Any]:
    return list(engine.redis.scan_iter(f"{engine.settings.key_prefix}:*:rate:*"))


def test_proxies_do_not_choose_the_host(settings: Settings) -> None:
    """A trusted proxy's scheme is used, its host is not."""
    with api_with(settings, http_trusted_proxies=1) as api:
        seen = []
        api.client.application.before_request_funcs[None].append(lambda: seen.append(request.url))
        get(api, X_Forwarded_Proto="https", X_Forwarded_Host="evil.example")
    assert seen == ["https://localhost/"]


def test_off(settings: Settings) -> None:
    """Switched off, nothing is counted, rejected or sent in headers."""
    with api_with(settings, ratelimit_enabled="off", ratelimit_mastery="1/minute") as api:
        answers = [api.post("/mastery/query", QUERY) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert not any(NAMES & set(answer.headers.keys()) for answer in answers)
        assert windows(api.engine) == []


def test_every_route_documents_it(api: FixedTimeApi) -> None:
    """The OpenAPI document has 429 and the headers for each route, and the headers for other responses too."""
    document = get(api, "/openapi.json").get_json()
    parts = document["components"]
    operations = [
        operation for methods in document["paths"].values() for name, operation in methods.items() if name != "parameters"
    ]
    assert len(operations) >= 7
    for operation in operations:
        for answer in operation["responses"].values():
            part = parts["responses"][answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
            assert set(HEADERS) <= set(part["headers"])
        assert operation["responses"]["429"]["$ref"].endswith("/TOO_MANY_REQUESTS")
    assert set(parts["responses"]["TOO_MANY_REQUESTS"]["headers"]) >= NAMES


def test_the_reset_is_rounded_up(api: FixedTimeApi) -> None:
    """A client that retries at X-RateLimit-Reset is not too early."""
    first = get(api)
    reset = int(first.headers["X-RateLimit-Reset"]) - NOW.timestamp()
    assert reset == math.ceil(reset) == 60
