"""Redis goes away and comes back, or has invalid data: the API reports it without the cause, and continues."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from api.application import create_app
from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.roles import Role
from cli.stack.embedded import embedded
from cli.stack.ports import claim_port
from consumers.kafka_event_log import KafkaEventLog
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi, LiveApi
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

QUERY = {"student_id": "s-1"}
BACK_SECONDS = 60.0
TASK_SECONDS = 20.0
# Requests wait for a silent Redis for its timeout of two seconds, once.
MANY, PATIENCE_SECONDS, HEALTH_SECONDS = 40, 6.0, 1.0


class Valkey:
    """A Valkey on its own port, which can be stopped and restarted with its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = claim_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.running = ExitStack()
        self.start()

    def start(self) -> None:
        self.running.enter_context(embedded("valkey", str(self.folder), str(self.port)))

    def stop(self) -> None:
        self.running.close()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections are accepted, but get no reply."""
        with redis.Redis(port=self.port) as client:
            process_id = int(client.info("server")["process_id"])
        os.kill(process_id, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process_id, signal.SIGCONT)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    yield server
    server.stop()


def assert_unavailable(answer: Any, told: dict[str, Any]) -> None:
    """503 in the envelope, with Retry-After and without the driver's message."""
    assert answer.status_code == 503
    assert told["error"] == {
        "code": "SERVICE_UNAVAILABLE",
        "message": "A part of the service does not answer; try again.",
        "details": {},
    }
    assert answer.headers["Retry-After"] == "1"
    for word in ("redis", "127.0.0.1", "Connection", "Errno", "Traceback"):
        assert word not in answer.text


def test_without_redis(valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever needs a token answers 503: no revocation could be seen, no audit entry be kept. The rest works.

    The log has a line when the outage begins and one when it ends, and the same of the rate limits, with the cause.
    """
    engine = bootstrap(load_settings({"MASTERY_REDIS_URL": valkey.url}), clock=lambda: NOW)
    api = FixedTimeApi(engine)
    api.record(quiz())
    assert api.post("/mastery/query", QUERY).status_code == 200
    valkey.stop()
    given = QUERY | {"components": {"quiz": 1}}
    for path, body in (("/mastery/query", QUERY), ("/mastery/calculate", QUERY), ("/mastery/calculate", given)):
        answer = api.post(path, body)
        assert_unavailable(answer, answer.get_json())
    assert api.client.get("/health").status_code == 200
    assert api.client.post("/mastery/query", json=QUERY).status_code == 401
    valkey.start()
    wait_for(lambda: api.post("/mastery/query", QUERY).status_code == 200, BACK_SECONDS)
    assert api.post("/mastery/query", QUERY).get_json()["data"]["score"] == 0.24
    assert api.post("/mastery/calculate", given).status_code == 200
    engine.redis.close()
    gone, back = [each for each in caplog.records if each.name == "app.bootstrap"]
    assert gone.getMessage() == "redis is unavailable; retrying: redis did not answer when the request was counted"
    assert back.getMessage().startswith("redis is available again after ")
    alone, together = [each.getMessage() for each in caplog.records if each.name == "app.security.rate_limits"]
    assert alone.startswith("redis is unavailable: this process counts requests alone (")
    assert f"{valkey.port}" in alone
    assert together == "requests are counted for all processes again"


def test_a_redis_that_never_was() -> None:
    """The API starts without Redis, and reports what is missing."""
    engine = bootstrap(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"}))
    client = create_app(engine, KafkaEventLog(engine.settings)).test_client()
    assert client.get("/health").status_code == 200
    answer = FixedTimeApi(engine).post("/mastery/query", QUERY)
    assert_unavailable(answer, answer.get_json())


def test_a_redis_that_is_full(valkey: Valkey) -> None:
    """Reads work, are counted and audited; requests that store more get 503, until there is room again."""
    engine = bootstrap(load_settings({"MASTERY_REDIS_URL": valkey.url}), clock=lambda: NOW)
    api = FixedTimeApi(engine)
    api.record(quiz())
    engine.redis.config_set("maxmemory", 1)
    api = FixedTimeApi(engine := bootstrap(engine.settings, clock=lambda: NOW))  # a process that has not read the trail yet
    answer = api.post("/mastery/query", QUERY)
    assert (answer.status_code, answer.get_json()["data"]["score"]) == (200, 0.24)
    assert answer.headers["X-RateLimit-Remaining"] == "49"
    assert api.post("/mastery/query", QUERY, role=Role.STUDENT, subject="s-2").status_code == 403
    assert api.post("/mastery/calculate", QUERY | {"components": {"quiz": 1}}).status_code == 200
    assert api.call("/audit", method="GET").get_json()["data"]["entries"][0]["action"] == "mastery.calculate"
    assert_unavailable(refused := api.post("/auth/revoke", {"jti": "token"}), refused.get_json())
    engine.redis.config_set("maxmemory", 0)
    assert api.post("/auth/revoke", {"jti": "token"}).status_code == 200
    engine.redis.close()


def test_a_whole_stack_without_redis(valkey: Valkey, tmp_path: Path, tenant: str) -> None:
    """/ready names what is unavailable, /health stays green, tasks are rejected; when Redis is back everything works."""
    with Stack(tmp_path / "stack", MASTERY_REDIS_URL=valkey.url) as stack:
        api = LiveApi(stack, tenant)
        assert api.get("/ready").status_code == 200
        valkey.stop()
        # While another caller's check runs, a result up to five seconds old is returned.
        wait_for(lambda: api.get("/ready").status_code == 503, BACK_SECONDS)
        ready = api.get("/ready")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        expected = {"redis": ["is unavailable"], "broker": ["is unavailable"], "worker": ["is unavailable"]}
        assert expected == {name: ready.json()["error"]["details"].get(name) for name in expected}
        assert api.get("/health").status_code == 200
        for path in ("/mastery/query", "/mastery/calculate", "/mastery/calculate"):
            answer = api.post(path, QUERY)
            assert_unavailable(answer, answer.json())
        valkey.start()
        wait_for(lambda: api.get("/ready").status_code == 200, BACK_SECONDS)
        wait_for(lambda: api.post("/mastery/query", QUERY).status_code == 404, BACK_SECONDS)


def test_a_whole_stack_with_a_silent_redis(valkey: Valkey, tmp_path: Path, tenant: str) -> None:
    """Requests wait for a silent Redis at the same time, not one after the other: threads remain for other requests."""
    with Stack(tmp_path / "stack", MASTERY_REDIS_URL=valkey.url) as stack, ThreadPoolExecutor(MANY) as callers:
        api = LiveApi(stack, tenant, PATIENCE_SECONDS)
        assert api.post("/mastery/query", QUERY).status_code == 404
        with valkey.silent():
            answers = [callers.submit(api.post, "/mastery/query", QUERY) for _ in range(MANY)]
            for answer in answers:
                assert_unavailable(answer.result(), answer.result().json())
            answers = [callers.submit(api.post, "/mastery/query", QUERY) for _ in range(MANY)]
            for _ in range(20):
                assert LiveApi(stack, tenant, HEALTH_SECONDS).get("/health").status_code == 200
            assert {answer.result().status_code for answer in answers} == {503}
            # While another caller's check runs, a result up to five seconds old is returned.
            wait_for(lambda: api.get("/ready").status_code == 503, BACK_SECONDS)
            assert {"redis", "broker", "worker"} <= api.get("/ready").json()["error"]["details"].keys()
        wait_for(lambda: api.get("/ready").status_code == 200, BACK_SECONDS)
        wait_for(lambda: api.post("/mastery/query", QUERY).status_code == 404, BACK_SECONDS)


INTERNAL = "The service failed; its operators can find the cause by the correlation id."


def test_a_record_that_cannot_be_read(api: FixedTimeApi) -> None:
    """An unexpected error is a 500 without the cause, which is in the log; other students are not affected."""
    api.record(quiz(), quiz(student_id="s-2"))
    api.engine.redis.set(f"{api.engine.settings.key_prefix}:{{t-1}}:student:s-1", "not a record")
    answer = api.post("/mastery/query", QUERY)
    expected = {"code": "INTERNAL_ERROR", "message": INTERNAL, "details": {}}
    assert (answer.status_code, answer.get_json()["error"]) == (500, expected)
    assert api.post("/mastery/query", {"student_id": "s-2"}).status_code == 200


def test_a_task_that_fails(live_api: LiveApi) -> None:
    """An unexpected failure of a task is reported to waiting and later callers, without the cause."""
    live_api.stack.engine.redis.set(f"mastery:{{{live_api.tenant}}}:student:s-1", "not a record")
    answer = live_api.post("/mastery/calculate", QUERY)
    expected = {"code": "INTERNAL_ERROR", "message": INTERNAL, "details": {}}
    assert (answer.status_code, answer.json()["error"]) == (500, expected)

    location = live_api.post("/mastery/calculate", QUERY, {"Prefer": "respond-async"}).headers["Location"]
    wait_for(lambda: live_api.get(location).json()["data"]["status"] != "pending", TASK_SECONDS)
    told = live_api.get(location).json()["data"]
    reason = "the service failed; its operators can find the cause by the task's id"
    assert ("failed", reason) == (told["status"], told["reason"])
