"""POST /mastery/ingest with an Idempotency-Key returns the first response to a repeated request."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from uuid import uuid4

import pytest
import requests

from app.bootstrap import bootstrap
from app.config.settings import Settings
from app.events.event_totals import Totals
from app.idempotency.idempotency_keys import Claim, fingerprint
from app.roles import Role
from app.security.rate_limits import PAUSE_SECONDS
from cli.stack.embedded import embedded
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi, LiveApi, Post, details, fresh, poster, taken
from tests.learning_events import quiz
from tests.stack import wait_for

PATH = "/mastery/ingest"
RECORDED_SECONDS = 20.0


@pytest.fixture
def settings(settings: Settings, kafka_bootstrap: str) -> Settings:
    """A topic for this test only."""
    return replace(settings, kafka_bootstrap=kafka_bootstrap, events_topic=f"events-{uuid4().hex}")


@pytest.mark.parametrize("events", [[quiz(), quiz(total_questions=0)], [quiz(total_questions=0)]], ids=["accepted", "refused"])
def test_a_repeated_request_gets_the_same_answer(api: FixedTimeApi, post: Post, events: list[Any]) -> None:
    """Status, data and error are those of the first, and nothing is accepted again."""
    first = post({"events": events}, "k-1")
    before = len(taken(api))
    again = post({"events": events}, "k-1")
    assert (first.status_code, first.get_json().get("data"), first.get_json().get("error")) == (
        again.status_code,
        again.get_json().get("data"),
        again.get_json().get("error"),
    )
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert again.get_json()["meta"]["correlation_id"] == again.headers["X-Correlation-ID"]
    assert before == len(taken(api))


def test_what_is_kept_for_a_key_is_small(api: FixedTimeApi, post: Post) -> None:
    """The events are not stored again, whatever they contain: callers have them, and the response is the same."""
    hostile = [quiz(event_id=token_urlsafe(140), comment=token_urlsafe(99)) for _ in range(300)]
    body = {"events": [quiz(), *hostile, *(quiz(total_questions=0) for _ in range(199))]}
    first = post(body, "k-1")
    assert (first.status_code, first.get_json()["data"]["rejected"]) == (202, 499)
    assert first.get_json()["data"] == post(body, "k-1").get_json()["data"]
    (key,) = api.engine.redis.keys(f"{api.engine.settings.key_prefix}:*:idempotency:*")
    assert int(api.engine.redis.memory_usage(key) or 0) < 600


def test_a_key_is_for_one_body(api: FixedTimeApi, post: Post) -> None:
    """Another body under the same key is rejected, even the same events written differently."""
    body = json.dumps({"event": quiz()}).encode()
    assert post(body, "k-1").status_code == 202
    for other in (body + b" ", json.dumps({"event": quiz()}).encode()):
        assert details(post(other, "k-1")) == {"Idempotency-Key": ["was used with another body"]}
    assert len(taken(api)) == 1


def test_a_key_is_for_one_caller(api: FixedTimeApi, post: Post) -> None:
    """Keys of others, in this tenant or another, do not matter."""
    body = {"event": fresh(quiz(), timestamp=NOW.isoformat())}
    for caller in ({}, {"tenant": "t-2"}, {"subject": "quiz"}, {"role": Role.ADMIN}):
        answer = post(body, "k-1", **caller)
        assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (202, False)
    assert len(taken(api)) == 4


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_keys_that_are_none(api: FixedTimeApi, post: Post, key: str) -> None:
    """Other keys than 1 to 255 visible ASCII characters get 422, and nothing happens."""
    assert details(post({"event": quiz()}, key)) == {"Idempotency-Key": ["must be 1 to 255 visible ASCII characters"]}
    assert taken(api) == []


def test_what_is_refused_before_leaves_the_key_free(post: Post) -> None:
    """A request rejected for its role or an invalid body was never started."""
    assert post({"event": quiz()}, "k-1", role=Role.STUDENT).status_code == 403
    assert post({"event": quiz(), "more": 1}, "k-1").status_code == 422
    assert post({"event": quiz()}, "k-1").status_code == 202


def test_a_request_that_died(api: FixedTimeApi, post: Post) -> None:
    """While it may still run, repetitions get 409; after its claim has expired, the next one is processed."""
    body = json.dumps({"event": quiz()}).encode()
    died = api.engine.idempotency_keys.claim("t-1", "service:tutor", "k-1", fingerprint("POST", PATH, body))
    assert isinstance(died, Claim)
    answer = post(body, "k-1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    expected = {"code": "CONFLICT", "message": "A request with this Idempotency-Key is being answered.", "details": {}}
    assert expected == answer.get_json()["error"]
    assert details(post(body + b" ", "k-1")) == {"Idempotency-Key": ["was used with another body"]}
    api.engine.redis.pexpire(died.name, 1)
    wait_for(lambda: not api.engine.redis.exists(died.name), 5)
    served = post(body, "k-1")
    assert served.status_code == 202
    assert served.get_json()["data"] == post(body, "k-1").get_json()["data"]


def test_without_redis(settings: Settings, state: ExitStack, state_port: int, tmp_path: Path) -> None:
    """503, with or without a key; when Redis is back the request is processed, and the response survives a restart."""
    engine = bootstrap(replace(settings, redis_url=f"redis://127.0.0.1:{state_port}/0"), clock=lambda: NOW)
    api = FixedTimeApi(engine)
    post, body = poster(api), json.dumps({"event": quiz()}).encode()
    answers = []

    def is_served() -> bool:
        """Right after an outage of Redis some requests are still rejected, since processes do not try it with each request."""
        answers.append(post(body, "k-1"))
        return answers[-1].status_code != 503

    for _ in range(2):
        state.close()
        for key in (None, "k-1"):
            answer = post(body, key)
            assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
            assert answer.headers["Retry-After"] == "1"
        state.enter_context(embedded("valkey", str(tmp_path / "state"), str(state_port)))
        wait_for(is_served, PAUSE_SECONDS + 5)
    answers = [answer for answer in answers if answer.status_code != 503]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
    assert len(taken(api)) == 1
    api.event_log.close()
    engine.redis.close()


def test_the_same_request_many_times_at_once(live_api: LiveApi) -> None:
    """One is processed; the others get 409, or its response."""
    body = {"events": [fresh(quiz()) for _ in range(500)]}
    caller = live_api.authorization(role=Role.SERVICE) | {"Idempotency-Key": str(uuid4())}

    def send(_: int) -> requests.Response:
        return requests.post(live_api.url + PATH, json=body, headers=caller, timeout=30)

    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(send, range(48)))
    served = [answer for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in served) == 1
    again = send(0)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert all(answer.json()["data"] == again.json()["data"] for answer in served)
    totals = live_api.stack.engine.event_totals
    wait_for(lambda: totals.of(live_api.tenant) == Totals(applied=500), RECORDED_SECONDS)


def test_openapi_tells_of_the_key(live_api: LiveApi) -> None:
    """The header, the responses to a repetition, and the limits of a body."""
    document = live_api.get("/openapi.json").json()
    operation = document["paths"][PATH]["post"]
    assert ("header", "Idempotency-Key", 255) in [
        (each["in"], each["name"], each["schema"].get("maxLength")) for each in operation["parameters"] if "in" in each
    ]
    assert set(operation["responses"]) == {str(status) for status in (202, 400, 401, 403, 409, 413, 415, 422, 429, 500, 503)}
    assert "Idempotent-Replayed" in operation["responses"]["202"]["headers"]
    events = document["components"]["schemas"]["IngestBody"]["properties"]["events"]
    assert (events["minItems"], events["maxItems"], events["items"]["type"]) == (1, 500, "object")


class TestQuotaOfKeys:
    """The responses stored for a tenant's keys are limited."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, quota_idempotency_bytes="600")

    def test_beyond_it_a_key_is_refused_and_a_request_without_one_is_not(self, post: Post) -> None:
        """The error says until when; an existing key still gets its response."""
        answers = [post({"event": quiz()}, f"k-{number}") for number in range(5)]
        assert answers[0].status_code == 202
        refused = answers[-1]
        told = refused.get_json()["error"]
        assert (refused.status_code, told["code"], list(told["details"])) == (429, "RATE_LIMITED", ["Idempotency-Key"])
        assert int(refused.headers["Retry-After"]) > 0
        assert post({"event": quiz()}).status_code == 202
