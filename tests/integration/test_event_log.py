"""Events over HTTP are in Kafka before they are confirmed, so they are as safe as those of other producers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from api.wsgi import create_app
from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.errors import DependencyUnavailable, SettingsError
from app.events.dead_letter import OFFSET, PARTITION, TOPIC, TRACE
from app.events.event_log import LogRecord
from app.events.ledger import Attempt, ChunkId
from app.events.record_chunk import record_chunk
from app.health.readiness import CACHED_SECONDS
from app.roles import Role
from cli.stack.ports import claim_port
from consumers.kafka.clients import headers_of
from consumers.kafka_event_log import KafkaEventLog
from tests.conftest import NOW, make_topics
from tests.integration.conftest import FixedTimeApi
from tests.integration.kafka_records import records_of
from tests.integration.running_bridge import SECONDS, Running
from tests.learning_events import activity, completion, quiz
from tests.stack import wait_for

PATH = "/mastery/ingest"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WAIT_SECONDS = 2.0  # a new producer needs half a second


class KafkaProcess:
    """A test's own embedded broker, which can be suspended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli.stack.embedded", "kafka"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.bootstrap_servers = self._process.stdout.readline().strip()

    def fall_silent(self) -> None:
        """Connections are accepted, but get no reply."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def speak(self) -> None:
        """Continue where it was suspended."""
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Connections are refused from now on."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def kafka() -> Iterator[KafkaProcess]:
    process = KafkaProcess()
    yield process
    process.end()


def on_kafka(settings: Settings, bootstrap_servers: str) -> Settings:
    """The settings with a test's own topics on a broker, and short timeouts."""
    name = uuid4().hex
    return replace(
        settings,
        kafka_bootstrap=bootstrap_servers,
        kafka_group=f"group-{name}",
        events_topic=f"events-{name}",
        dlq_topic=f"dlq-{name}",
        results_topic=f"results-{name}",
        erasures_topic=f"erasures-{name}",
        ingest_wait_seconds=WAIT_SECONDS,
    )


@pytest.fixture
def settings(settings: Settings, kafka_bootstrap: str) -> Settings:
    own = on_kafka(settings, kafka_bootstrap)
    make_topics(kafka_bootstrap, own.events_topic, own.dlq_topic, own.results_topic, own.erasures_topic)
    return own


@pytest.fixture
def own_api(settings: Settings, kafka: KafkaProcess) -> Iterator[FixedTimeApi]:
    """The API on its own broker, whose topic exists."""
    engine = bootstrap(on_kafka(settings, kafka.bootstrap_servers), clock=lambda: NOW)
    make_topics(kafka.bootstrap_servers, engine.settings.events_topic)
    api = FixedTimeApi(engine)
    yield api
    api.event_log.close()
    engine.redis.close()


def send(api: FixedTimeApi, *events: dict[str, Any], **headers: str) -> TestResponse:
    return api.call(PATH, {"events": list(events)}, role=Role.SERVICE, headers=headers)


class Worker:
    """Records chunks like a worker, in the bridge's thread; an event that fails is not retried."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, chunk_ids: Sequence[ChunkId]) -> None:
        engine = self._engine
        for chunk_id in chunk_ids:
            attempt = Attempt(uuid4().hex, 0)
            stores: dict[str, Any] = {
                "ledger": engine.ledger,
                "letter_keys": engine.letter_keys,
                "stores": engine.mastery,
                "totals": engine.event_totals,
            }
            self(record_chunk(chunk_id, attempt, **stores, now=engine.clock(), failures=0, max_failures=0))


def scores(api: FixedTimeApi) -> list[Any]:
    """The mastery of three students, today and yesterday."""
    answers = [
        api.post("/mastery/query", {"student_id": f"s-{number}", "date": day})
        for number in range(3)
        for day in ("2026-10-28", "2026-10-27")
    ]
    return [answer.get_json().get("data") for answer in answers]


def test_what_redis_loses_is_rebuilt(api: FixedTimeApi) -> None:
    """Also events from HTTP: each student has the same mastery as before, and no event counts twice."""
    events = [kind(student_id=f"s-{number}") for kind in (quiz, completion, activity) for number in range(3)]
    with Running(api.engine, Worker(api.engine), relays=False):
        assert send(api, *events).status_code == 202
        assert send(api, *events[:4]).status_code == 202  # again, like a client that got no response
        wait_for(lambda: sum(api.engine.event_totals.of("t-1")) == 13, SECONDS)
        before, totals = scores(api), api.engine.event_totals.of("t-1")
        assert None not in before
        assert (totals.applied, totals.duplicates) == (9, 4)
        keys = api.engine.redis.keys(f"{api.engine.settings.key_prefix}:*")
        assert isinstance(keys, list)
        api.engine.redis.delete(*keys)
        wait_for(lambda: api.engine.event_totals.of("t-1") == totals, SECONDS)
    assert before == scores(api)


def test_a_dead_letter_names_the_place_in_kafka(api: FixedTimeApi) -> None:
    """For an event from HTTP like for any other; it can be replayed from there."""
    api.engine.redis.set(f"{api.engine.settings.key_prefix}:{{t-1}}:student:s-1", "not a hash")
    with Running(api.engine, Worker(api.engine), relays=False):
        assert send(api, quiz(), traceparent=TRACEPARENT).status_code == 202
        wait_for(lambda: api.engine.ledger.letters_waiting() == 1, SECONDS)
    (waiting,) = api.engine.ledger.waiting_letters(10)
    (record,) = records_of(api.engine.settings)
    headers = dict(waiting.letter.headers)
    place = (api.engine.settings.events_topic, str(record.partition()), str(record.offset()))
    assert place == (headers[TOPIC], headers[PARTITION], headers[OFFSET])
    assert (headers[TRACE], headers_of(record)) == (TRACEPARENT, {TRACE: TRACEPARENT})
    pseudonym = api.engine.audit.pseudonym("t-1", "s-1")
    assert (waiting.letter.key, record.key()) == (f"t-1/{pseudonym}".encode(), b"t-1/s-1")


def assert_away(answer: TestResponse) -> None:
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    expected = {"code": "SERVICE_UNAVAILABLE", "message": "A part of the service does not answer; try again.", "details": {}}
    assert expected == answer.get_json()["error"]


def test_a_kafka_that_is_silent(own_api: FixedTimeApi, kafka: KafkaProcess) -> None:
    """503, also for a key without a stored response; the rest of the API works. When Kafka is back the request is processed."""
    key = {"Idempotency-Key": "k-1"}
    event = quiz()
    assert send(own_api, quiz()).status_code == 202
    kafka.fall_silent()
    assert_away(send(own_api, event, **key))
    assert_away(send(own_api, event))
    assert own_api.post("/mastery/query", {"student_id": "s-1"}).status_code == 404
    kafka.speak()
    wait_for(lambda: send(own_api, event, **key).status_code == 202, SECONDS)
    assert send(own_api, event, **key).headers["Idempotent-Replayed"] == "true"
    ids = {json.loads(record.value() or b"")["event_id"] for record in records_of(own_api.engine.settings)}
    assert event["event_id"] in ids


def test_a_kafka_that_ends(own_api: FixedTimeApi, kafka: KafkaProcess) -> None:
    """503, and /ready names Kafka; errors of events are still reported."""
    assert send(own_api, quiz()).status_code == 202
    assert "kafka" not in own_api.client.get("/ready").get_json()["error"]["details"]
    kafka.end()
    assert_away(send(own_api, quiz()))
    assert send(own_api, quiz(total_questions=0)).status_code == 422
    time.sleep(CACHED_SECONDS)
    ready = own_api.client.get("/ready")
    assert ready.status_code == 503
    assert ready.get_json()["error"]["details"]["kafka"][0].startswith("is unavailable: ")


def test_a_kafka_that_never_was(settings: Settings) -> None:
    """The API starts without Kafka."""
    engine = bootstrap(on_kafka(settings, f"127.0.0.1:{claim_port()}"), clock=lambda: NOW)
    api = FixedTimeApi(engine)
    assert_away(send(api, quiz()))
    assert api.client.get("/health").status_code == 200
    api.event_log.close()
    engine.redis.close()


def records(count: int) -> list[LogRecord]:
    return [LogRecord("t-1", f"s-{number}", uuid4().hex.encode()) for number in range(count)]


def test_silence_takes_half_of_the_threads(settings: Settings, kafka: KafkaProcess) -> None:
    """Others get 503; once Kafka is known to be unavailable, one request at a time checks whether it is back."""
    own = replace(on_kafka(settings, kafka.bootstrap_servers), http_threads=4, ingest_wait_seconds=4.0)
    make_topics(kafka.bootstrap_servers, own.events_topic)

    def outcome(log: KafkaEventLog) -> str:
        try:
            log.append(records(1))
        except DependencyUnavailable as error:
            return error.state.partition(":")[0]
        return "is there"

    with closing(KafkaEventLog(own)) as log, ThreadPoolExecutor(12) as callers:
        assert outcome(log) == "is there"
        kafka.fall_silent()
        outcomes = list(callers.map(outcome, [log] * 12))
        assert {"does not keep up with those who wait for it": 10, "is unavailable": 2} == {
            each: outcomes.count(each) for each in outcomes
        }
        trial = callers.submit(outcome, log)
        wait_for(log._probing.locked, SECONDS)
        assert [outcome(log) for _ in range(5)] == ["is unavailable"] * 5
        assert not trial.done()
        kafka.speak()
        trial.result()
        wait_for(lambda: outcome(log) == "is there", SECONDS)


def test_busy_slots_are_no_outage(settings: Settings) -> None:
    """A caller without a slot gets 503; Kafka does not count as unavailable if it confirmed records of others meanwhile."""

    def find_no_slot(log: KafkaEventLog) -> None:
        with log._circuit_breaker():
            log.append(records(1))  # of another caller
            with log._slot(), log._slot():
                pass

    with closing(KafkaEventLog(replace(settings, http_threads=2))) as log:  # one slot
        with pytest.raises(DependencyUnavailable, match="does not keep up"):
            find_no_slot(log)
        with log._probing:  # a probe would be rejected
            log.append(records(1))


def test_many_callers_at_once(settings: Settings) -> None:
    """Each returns when its own records are delivered, all of them once."""
    a_turn_for_each = replace(settings, http_threads=16)  # half of the threads may wait for Kafka at a time
    with closing(KafkaEventLog(a_turn_for_each)) as log, ThreadPoolExecutor(8) as callers:
        batches = [records(50) for _ in range(80)]
        list(callers.map(log.append, batches))
    sent = sorted(record.value for batch in batches for record in batch)
    assert sent == sorted(record.value() or b"" for record in records_of(settings))


def test_a_topic_that_cannot_be_is_told(settings: Settings, apache_kafka: str) -> None:
    """/ready reports it, since no event could be stored."""
    with closing(KafkaEventLog(replace(on_kafka(settings, apache_kafka), events_topic="no topic"))) as log:
        with pytest.raises(DependencyUnavailable, match="kafka is unavailable: "):
            log.ping()
        with pytest.raises(DependencyUnavailable, match="kafka is unavailable: "):
            log.append(records(1))


def test_the_api_does_not_start_without_a_place_for_events(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """A 202 could not be guaranteed."""
    monkeypatch.setenv("MASTERY_REDIS_URL", redis_url)
    monkeypatch.delenv("MASTERY_KAFKA_BOOTSTRAP", raising=False)
    with pytest.raises(SettingsError, match="MASTERY_KAFKA_BOOTSTRAP is not set"):
        create_app()
