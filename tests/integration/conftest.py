"""The API as callers see it: over HTTP on the whole stack, or in this process if a test sets the clock."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import pytest
import requests
from confluent_kafka import Message
from werkzeug.test import TestResponse

from api.application import create_app
from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings, load_settings
from app.events.event import decode_event
from app.events.record_events import record_events
from app.roles import Role
from app.security.signing_keys import SigningKeys
from app.security.tokens import development_token
from cli.stack.embedded import embedded
from cli.stack.ports import claim_port
from consumers.kafka_event_log import KafkaEventLog
from tests.conftest import NOW
from tests.identity_provider import IdentityProvider
from tests.integration.api_process import ApiProcess, api_process
from tests.integration.dead_letter_desk import Dlq, new_dlq
from tests.integration.kafka_records import records_of
from tests.learning_events import activity, quiz
from tests.stack import Stack


class LiveApi:
    """The API of a running stack, called by an admin of one tenant by default."""

    def __init__(self, stack: Stack, tenant: str, timeout: float = 30.0) -> None:
        self.stack = stack
        self.tenant = tenant
        self.timeout = timeout
        self.url = stack.running.http_url

    def authorization(self, **caller: Any) -> dict[str, str]:
        """The header with a token for this caller: role, subject, cohorts, tenant."""
        return {"Authorization": f"Bearer {self.stack.token(**{'tenant': self.tenant, **caller})}"}

    def get(self, path: str, **caller: Any) -> requests.Response:
        return requests.get(self.url + path, headers=self.authorization(**caller), timeout=self.timeout)

    def put(self, path: str, body: Any, **caller: Any) -> requests.Response:
        return requests.put(self.url + path, json=body, headers=self.authorization(**caller), timeout=self.timeout)

    def delete(self, path: str, **caller: Any) -> requests.Response:
        return requests.delete(self.url + path, headers=self.authorization(**caller), timeout=self.timeout)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None, **caller: Any) -> requests.Response:
        all_headers = self.authorization(**caller) | (headers or {})
        return requests.post(self.url + path, json=body, headers=all_headers, timeout=self.timeout)


class FixedTimeApi:
    """The API in this process, on an engine with a fixed clock; called by an admin of t-1 by default."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.event_log = KafkaEventLog(engine.settings)
        self.client = create_app(engine, self.event_log).test_client()

    def record(self, *events: dict[str, Any]) -> None:
        """Record events like the worker."""
        now = self.engine.clock()
        decoded = [decode_event(json.dumps(event).encode(), now) for event in events]
        record_events(decoded, stores=self.engine.mastery, now=now)

    def call(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        role: Role = Role.ADMIN,
        tenant: str = "t-1",
        subject: str = "tester",
        cohorts: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
    ) -> TestResponse:
        """A request of a caller with given headers; ``environ`` has values that clients would not let them send."""
        token = development_token(
            self.engine.settings, role=role, tenant=tenant, subject=subject, cohorts=cohorts, now=datetime.now(UTC)
        )
        all_headers = {"Authorization": f"Bearer {token}", **(headers or {})}
        return self.client.open(path, method=method, json=body, headers=all_headers, environ_overrides=environ)

    def post(self, path: str, body: Any, **caller: Any) -> TestResponse:
        return self.call(path, body, **caller)


Post = Callable[..., TestResponse]


def poster(api: FixedTimeApi) -> Post:
    def send(
        body: Any,
        key: str | None = None,
        *,
        role: Role = Role.SERVICE,
        tenant: str = "t-1",
        subject: str = "tutor",
        **headers: str,
    ) -> TestResponse:
        token = development_token(api.engine.settings, role=role, tenant=tenant, subject=subject, now=datetime.now(UTC))
        headers |= {"Authorization": f"Bearer {token}"} | ({} if key is None else {"Idempotency-Key": key})
        if isinstance(body, bytes):
            return api.client.post("/mastery/ingest", data=body, content_type="application/json", headers=headers)
        return api.client.post("/mastery/ingest", json=body, headers=headers)

    return send


def fresh(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An event with the current time and without a tenant, which the token gives."""
    event = event | {"timestamp": datetime.now(UTC).isoformat()} | changes
    del event["tenant_id"]
    return event


def taken(api: FixedTimeApi) -> list[Message]:
    """The events on the topic."""
    return records_of(api.engine.settings)


def details(answer: TestResponse) -> dict[str, list[str]]:
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (422, "VALIDATION_ERROR"), answer.text
    told: dict[str, list[str]] = answer.get_json()["error"]["details"]
    return told


@contextmanager
def api_with(settings: Settings, **changes: Any) -> Iterator[FixedTimeApi]:
    """The API in this process with other settings."""
    engine = bootstrap(dataclasses.replace(settings, **changes), clock=lambda: NOW)
    yield FixedTimeApi(engine)
    engine.redis.close()


def left(answer: Any) -> int:
    """The number of requests left, from the response."""
    return int(answer.headers["X-RateLimit-Remaining"])


def get(api: FixedTimeApi, path: str = "/", address: str = "127.0.0.1", **headers: str) -> TestResponse:
    """GET without a token, from an address."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.get(path, headers=names, environ_base={"REMOTE_ADDR": address})


def assert_refused(answer: Any, limit: str) -> None:
    """429 in the envelope, with the limit, and the time of the next attempt in message and header."""
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    told = answer.get_json() if isinstance(answer, TestResponse) else answer.json()
    assert told["success"] is False
    assert told["error"] == {
        "code": "RATE_LIMITED",
        "message": f"Too many requests: at most {limit}; try again after {seconds} s.",
        "details": {},
    }
    assert left(answer) == 0


def token(settings: Settings, **caller: Any) -> str:
    caller = {"role": Role.ADMIN, "tenant": "t-1", "subject": "tester", **caller}
    return development_token(settings, **caller, now=datetime.now(UTC))


class TokenApi:
    """The API in this process, with its own token settings, and a clock for its keys."""

    def __init__(self, redis_url: str, provider: IdentityProvider, **variables: str) -> None:
        names = {"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"}
        settings = load_settings({"MASTERY_JWT_JWKS_URL": provider.url} | names | variables)
        self.now = 1000.0
        self.engine = replace(bootstrap(settings), signing_keys=SigningKeys(provider.url, lambda: self.now))
        self.app = create_app(self.engine, KafkaEventLog(self.engine.settings))

    def call(self, token: str, student_id: str = "s-1") -> TestResponse:
        body, headers = {"student_id": student_id, "components": {}}, {"Authorization": f"Bearer {token}"}
        return self.app.test_client().post("/mastery/calculate", json=body, headers=headers)

    def refusal(self, token: str) -> str:
        """The message of the 401 for the token."""
        answer = self.call(token)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, "AUTH_ERROR"), answer.text
        message: str = answer.get_json()["error"]["message"]
        return message


@pytest.fixture
def tenant() -> str:
    """A tenant without data."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def live_api(stack: Stack, tenant: str) -> LiveApi:
    return LiveApi(stack, tenant)


@pytest.fixture(scope="module")
def api_alone(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("api"), redis_url) as api:
        yield api


@pytest.fixture
def api(engine: Engine) -> Iterator[FixedTimeApi]:
    api = FixedTimeApi(engine)
    yield api
    api.event_log.close()


@pytest.fixture
def state_port() -> int:
    """The port of a test's own state server, before and after an outage."""
    return claim_port()


@pytest.fixture
def state(tmp_path: Path, state_port: int) -> Iterator[ExitStack]:
    """A Valkey for the state only, on a folder that outlives it; closing it stops the server."""
    with ExitStack() as server:
        server.enter_context(embedded("valkey", str(tmp_path / "state"), str(state_port)))
        yield server


@pytest.fixture
def post(api: FixedTimeApi) -> Post:
    """POST to the API with the fixed clock, by default as a service of t-1; no bridge reads the events."""
    return poster(api)


@pytest.fixture
def desk(settings: Settings, any_kafka: str) -> Iterator[Dlq]:
    made = new_dlq(settings, any_kafka)
    yield made
    made.close()


@pytest.fixture
def embedded_desk(settings: Settings, kafka_bootstrap: str) -> Iterator[Dlq]:
    """A desk for tests that do not depend on the kind of broker."""
    made = new_dlq(settings, kafka_bootstrap)
    yield made
    made.close()


@pytest.fixture
def events_file(tmp_path: Path) -> Path:
    """Five events of one tenant: two valid ones, a repetition, an expired one, an invalid one; and a line that is not JSON."""
    tenant, yesterday = uuid4().hex, (datetime.now(UTC) - timedelta(days=1)).isoformat()
    once, twice = activity(tenant_id=tenant, timestamp=yesterday), quiz(tenant_id=tenant, timestamp=yesterday)
    old = activity(tenant_id=tenant, timestamp="2020-01-01T00:00:00Z")
    lines = [json.dumps(each) for each in (once, twice, twice, old, quiz(tenant_id=tenant, total_questions=0))]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join([*lines, "", "{broken"]) + "\n")
    return path


@pytest.fixture
def make(redis_url: str, provider: IdentityProvider) -> Iterator[Callable[..., TokenApi]]:
    with ExitStack() as made:

        def make(**variables: str) -> TokenApi:
            api = TokenApi(redis_url, provider, **variables)
            made.callback(api.engine.redis.close)
            return api

        yield make


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    """Where it writes its log."""
    with (tmp_path / "log").open("wb") as file:
        yield file
