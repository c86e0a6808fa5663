"""POST /mastery/ingest validates each event separately, and accepts valid ones like those from Kafka."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests

from app.bootstrap import bootstrap
from app.config.settings import Settings
from app.errors import InvalidInput
from app.events.event import EVENT_TYPES, decode_event
from app.events.event_totals import Totals
from app.roles import Role
from consumers.kafka.clients import headers_of
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi, LiveApi, Post, details, fresh, poster, taken
from tests.learning_events import activity, completion, quality, quiz
from tests.stack import wait_for

PATH = "/mastery/ingest"
RECORDED_SECONDS = 20.0
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def settings(settings: Settings, kafka_bootstrap: str) -> Settings:
    """A topic for this test only."""
    return replace(settings, kafka_bootstrap=kafka_bootstrap, events_topic=f"events-{uuid4().hex}")


@pytest.mark.parametrize("role", [Role.SERVICE, Role.ADMIN])
def test_an_event_changes_the_mastery(live_api: LiveApi, role: Role) -> None:
    """0.3 · 8/10 = 0.24, for a new student."""
    event = fresh(quiz())
    answer = live_api.post(PATH, {"event": event}, role=role)
    assert answer.status_code == 202, answer.text
    outcome = {"index": 0, "event_id": event["event_id"], "status": "accepted"}
    assert {"accepted": 1, "rejected": 0, "events": [outcome]} == answer.json()["data"]
    wait_for(lambda: live_api.post("/mastery/query", {"student_id": "s-1"}).status_code == 200, RECORDED_SECONDS)
    assert live_api.post("/mastery/query", {"student_id": "s-1"}).json()["data"]["score"] == 0.24


def test_500_events_count_once(live_api: LiveApi) -> None:
    """They may be sent any number of times, in any batches."""
    totals = live_api.stack.engine.event_totals
    kinds = [quiz, activity, completion, quality]
    events = [fresh(kinds[number % 4](), student_id=f"s-{number // 4}") for number in range(500)]
    for sent in (events, events[:250], events[::-1]):
        told = live_api.post(PATH, {"events": sent}, role=Role.SERVICE).json()["data"]
        assert (told["accepted"], told["rejected"]) == (len(sent), 0)
        assert [event["event_id"] for event in sent] == [each["event_id"] for each in told["events"]]
    wait_for(lambda: totals.of(live_api.tenant).duplicates == 750, RECORDED_SECONDS)
    assert Totals(applied=500, duplicates=750) == totals.of(live_api.tenant)
    assert live_api.post("/mastery/query", {"student_id": "s-7"}).json()["data"]["coverage"] == 1.0


def test_each_event_is_judged_by_itself(live_api: LiveApi) -> None:
    """Valid events of a request are accepted, also expired ones; errors of the others are reported by field."""
    good, old = fresh(quiz()), fresh(quiz(), timestamp="2020-01-01T00:00:00Z")
    wrong = fresh(quiz(total_questions=0))
    others = fresh(quiz(), event_id="x" * 1000) | {"tenant_id": f"{live_api.tenant}-2"}
    answer = live_api.post(PATH, {"events": [good, wrong, others, 5, {}, old]}, role=Role.SERVICE)
    assert answer.status_code == 202, answer.text
    unknown = {"event_type": [f"must be one of {', '.join(EVENT_TYPES)}"]}
    rejected = [
        (1, wrong["event_id"], {"data.total_questions": ["Expected `int` >= 1"]}),
        (2, "x" * 200, {"tenant_id": ["must be the token's tenant"], "event_id": ["Invalid UUID"]}),
        (3, None, {"event": ["Expected `object`, got `int`"]}),
        (4, None, {each: ["is missing"] for each in ("event_id", "timestamp", "student_id")} | unknown),
    ]
    expected = [
        {"index": 0, "event_id": good["event_id"], "status": "accepted"},
        *({"index": index, "event_id": name, "status": "rejected", "errors": errors} for index, name, errors in rejected),
        {"index": 5, "event_id": old["event_id"], "status": "accepted"},
    ]
    assert {"accepted": 2, "rejected": 4, "events": expected} == answer.json()["data"]
    totals = live_api.stack.engine.event_totals
    wait_for(lambda: totals.of(live_api.tenant) == Totals(applied=1, expired=1), RECORDED_SECONDS)
    assert totals.of(f"{live_api.tenant}-2") == Totals()


def test_a_request_without_a_valid_event_is_refused(api: FixedTimeApi, post: Post) -> None:
    """Errors are reported by their place in the body, and nothing is accepted."""
    late = (NOW + timedelta(minutes=6)).isoformat()
    told = details(post({"events": [quiz(timestamp=late), quiz(correct_answers=11), None, [], quiz(tenant_id=None)]}))
    expected = {
        "events.0.timestamp": ["lies more than 5 minutes in the future"],
        "events.1.data": ["correct_answers must not exceed total_questions"],
        "events.2": ["Expected `object`, got `null`"],
        "events.3": ["Expected `object`, got `array`"],
        "events.4.tenant_id": ["must be the token's tenant"],
    }
    assert expected == told
    assert details(post({"event": quiz(total_questions=0)})) == {"event.data.total_questions": ["Expected `int` >= 1"]}
    assert "xxx" not in details(post({"event": quiz(event_type="x" * 1_000_000)}))["event.event_type"][0]
    assert taken(api) == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["event", "events"]),
        ({"event": {}, "events": [{}]}, ["event", "events"]),
        ({"event": None}, ["event"]),
        ({"events": None}, ["events"]),
        ({"events": []}, ["events"]),
        ({"events": {}}, ["events"]),
        ({"events": "abc"}, ["events"]),
        ({"events": [{}] * 501}, ["events"]),
        ({"events": [0] * 900_000}, ["events"]),
        ({"event": {}, "tenant_id": "t-1"}, ["tenant_id"]),
        ([{}], ["body"]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bodies_that_hold_no_events(api: FixedTimeApi, post: Post, body: Any, fields: list[str]) -> None:
    """Exactly one of ``event`` and ``events``, the latter with 1 to 500; otherwise 422 names the error."""
    assert fields == list(details(post(body)))
    assert taken(api) == []


def test_students_beyond_the_quota(settings: Settings) -> None:
    """New students are accepted as long as there is room; events of others are rejected, and not sent to Kafka."""
    engine = bootstrap(replace(settings, quota_students="100, t-1=2"), clock=lambda: NOW)
    api = FixedTimeApi(engine)
    api.record(quiz(student_id="s-1"))
    told = poster(api)({"events": [quiz(student_id=f"s-{number}") for number in (2, 1, 3, 2)]}).get_json()["data"]
    assert ["accepted", "accepted", "rejected", "accepted"] == [each["status"] for each in told["events"]]
    reason = ["is new, and the tenant has as many students as its quota allows"]
    assert told["events"][2]["errors"] == {"student_id": reason}
    assert len(taken(api)) == 3
    api.event_log.close()
    engine.redis.close()


def test_an_event_that_has_expired_takes_no_room(settings: Settings) -> None:
    """It creates no student, over HTTP as over Kafka: it is accepted, and so is the next new student."""
    engine = bootstrap(replace(settings, quota_students="100, t-1=1"), clock=lambda: NOW)
    api = FixedTimeApi(engine)
    old = quiz(student_id="s-old", timestamp=(NOW - timedelta(days=365)).isoformat())
    told = poster(api)({"events": [old, quiz(student_id="s-new"), quiz(student_id="s-one-too-many")]}).get_json()["data"]
    assert ["accepted", "accepted", "rejected"] == [each["status"] for each in told["events"]]
    assert len(taken(api)) == 2
    api.event_log.close()
    engine.redis.close()


def test_events_beyond_the_quota(settings: Settings) -> None:
    """Whoever of the tenant sends them: 429 until the minute is over; nothing is accepted, and the key stays free."""
    now = NOW.replace(second=20)
    engine = bootstrap(replace(settings, quota_events="unlimited, t-1=5"), clock=lambda: now)
    api = FixedTimeApi(engine)
    post, events = poster(api), [quiz() for _ in range(3)]
    assert post({"events": events}).status_code == 202
    answer = post({"events": events}, "k-1", subject="another")
    assert answer.status_code == 429
    assert answer.get_json()["error"] == {
        "code": "RATE_LIMITED",
        "message": "The tenant's quota is used up for this minute.",
        "details": {"tenant_id": ["the tenant may send 5 events a minute"]},
    }
    assert answer.headers["Retry-After"] == "40"
    assert post({"events": events[:2]}).status_code == 202
    assert post({"events": [{**event, "tenant_id": "t-2"} for event in events] * 2}, tenant="t-2").status_code == 202
    assert len(taken(api)) == 11
    now += timedelta(seconds=40)
    assert post({"events": events}, "k-1", subject="another").status_code == 202
    api.event_log.close()
    engine.redis.close()


def test_who_may_not_send_events(post: Post, live_api: LiveApi) -> None:
    """Students and teachers get 403, whatever they send; without a token it is 401."""
    for role in (Role.STUDENT, Role.TEACHER):
        for body in ({"event": quiz()}, {}, b"{"):
            assert post(body, "k-1", role=role).status_code == 403
    assert requests.post(live_api.url + PATH, json={}, timeout=30).status_code == 401


def test_what_is_taken_over(api: FixedTimeApi, post: Post) -> None:
    """The original events with the token's tenant, under the key of all producers, with the caller's trace."""
    events = [quiz(), quiz(total_questions=0), fresh(activity(), timestamp=1_793_000_000_000, more={"n": [1, 2.5, 10**30]})]
    assert post({"events": events}, traceparent=TRACE).status_code == 202
    values = [json.dumps(event, separators=(",", ":")).encode() for event in (events[0], {"tenant_id": "t-1", **events[2]})]
    expected = [(b"t-1/s-1", value, {"traceparent": TRACE}) for value in values]
    assert expected == [(message.key(), message.value(), headers_of(message)) for message in taken(api)]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        TRACE.upper(),
        f"{TRACE}-00",
        f"ff{TRACE[2:]}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        TRACE.replace("b7ad6b7169203331", "0" * 16),
    ],
)
def test_what_is_no_trace_is_dropped(api: FixedTimeApi, post: Post, given: str) -> None:
    """An invalid trace would be passed on; the events are accepted."""
    assert post({"event": quiz()}, traceparent=given).status_code == 202
    assert [headers_of(message) for message in taken(api)] == [{}]


def test_large_events(api: FixedTimeApi, post: Post) -> None:
    """A body may be full of them; one that Kafka would not accept is rejected separately."""
    events = [quiz(comment="x" * 20_000) for _ in range(40)]
    told = post({"events": [*events, quiz(comment="x" * 900_000)]}).get_json()["data"]
    assert (told["accepted"], told["events"][-1]["errors"]) == (40, {"event": ["is larger than 900,000 bytes"]})
    assert [event["event_id"] for event in events] == [json.loads(message.value() or b"")["event_id"] for message in taken(api)]


IGNORED = [
    rb'"\ud83d"',
    rb'{"\ud83d": 1}',
    b"1e400",
    b"9" * 5_000,
    b'"\xff"',
    b"[" * 98 + b"]" * 98,
    b"[" * 99 + b"]" * 99,
]


@pytest.mark.parametrize("field", IGNORED)
def test_an_ignored_field_is_judged_as_in_a_record_from_kafka(api: FixedTimeApi, post: Post, field: bytes) -> None:
    """Half an emoji in one event is no reason to reject it or the other events."""
    odd = json.dumps(quiz()).encode()[:-1] + b', "note": ' + field + b"}"
    try:
        decode_event(odd, NOW)
        expected = [b"accepted", b"accepted"]
    except InvalidInput:
        expected = [b"rejected", b"accepted"]
    answer = post(b'{"events": [' + odd + b", " + json.dumps(quiz()).encode() + b"]}")
    assert expected == re.findall(rb'"status":"(\w+)"', answer.get_data())
    assert len(taken(api)) == expected.count(b"accepted")


def test_an_event_that_names_two_tenants_is_refused(api: FixedTimeApi, post: Post) -> None:
    """Such an event is ambiguous."""
    other = json.dumps(quiz(tenant_id="t-2"))
    for event in (f'{{"tenant_id": "t-1", {other[1:]}', f'{other[:-1]}, "tenant_id": "t-1"}}'):
        answer = post(f'{{"event": {event}}}'.encode())
        assert answer.status_code == 202 or {"event.tenant_id": ["must be the token's tenant"]} == details(answer)
    assert all(decode_event(message.value(), NOW)[0].tenant_id == "t-1" for message in taken(api))


NUMBERS = ["10", "0", "-0", "10.0", "1e1", "1000001", "1" * 20, "1" * 400, "true", "null", '"10"', "[]", "{}", '"\\u0000"']


@pytest.mark.parametrize("number", NUMBERS)
def test_the_verdict_is_that_on_a_record_from_kafka(post: Post, number: str) -> None:
    """The messages are the same, however the JSON is written."""
    raw = json.dumps(quiz(total_questions="?", correct_answers=0)).replace('"?"', number).encode()
    try:
        decode_event(raw, NOW)
        expected: dict[str, list[str]] = {}
    except InvalidInput as error:
        expected = {f"event.{error.field}": [error.reason]}
    answer = post(b'{"event": ' + raw + b"}")
    assert expected == (details(answer) if answer.status_code == 422 else {})
    assert answer.status_code == (422 if expected else 202)


def test_deep_nesting_loses_nothing(live_api: LiveApi) -> None:
    """Each event is rejected, or accepted and recorded, up to the limit of what can be parsed."""
    headers = live_api.authorization(role=Role.SERVICE) | {"Content-Type": "application/json"}
    statuses = []
    for depth in (*range(90, 110), *range(800, 1000, 5)):
        event = json.dumps(fresh(quiz()))[:-1].encode()
        body = b'{"event": ' + event + b', "more": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}}"
        statuses.append(requests.post(live_api.url + PATH, data=body, headers=headers, timeout=30).status_code)
    assert [202] * 11 + [422] * 9 == statuses[:20]
    assert {422, 400} == set(statuses[20:])
    totals = live_api.stack.engine.event_totals
    wait_for(lambda: totals.of(live_api.tenant) == Totals(applied=statuses.count(202)), RECORDED_SECONDS)
