"""What the relay tells of an erased student, on each kind of Kafka broker."""

import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from app.bootstrap import Engine
from app.config.settings import Settings
from app.events.event import decode_event
from app.events.record_events import record_events
from consumers.kafka.clients import producer
from consumers.relay import Relay
from tests.conftest import NOW
from tests.integration.running_bridge import own_topics, read_all
from tests.learning_events import quiz


@pytest.fixture
def settings(settings: Settings, any_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, any_kafka, tmp_path)


def test_an_erased_student_s_waiting_changes_are_not_told(engine: Engine) -> None:
    """Not even what waits since an outage of Kafka; the erasure is told, and the others' changes before and after it."""
    nowhere = Producer({"bootstrap.servers": "127.0.0.1:9", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0})

    def record(student: str, correct: int) -> None:
        value = json.dumps(quiz(student_id=student, correct_answers=correct)).encode()
        record_events([decode_event(value, NOW)], stores=engine.mastery, now=NOW)

    for student in ("s-1", "s-2", "s-1"):
        record(student, 8)
    relay = Relay(engine, nowhere)
    assert not relay.step()
    engine.outbox.erase("t-1", ["s-1"])
    engine.outbox.announce_erased("t-1", ["s-1"], NOW)
    record("s-2", 0)
    relay.stop()
    relay.run()  # releases its lease
    while Relay(engine, producer(engine.settings)).step():
        pass
    (recorded,) = read_all(engine.settings, engine.settings.erasures_topic, 1)
    pseudonym = engine.audit.pseudonym("t-1", "s-1")
    assert recorded.key() == f"t-1/{pseudonym}".encode()
    assert json.loads(recorded.value() or b"") == {
        "tenant_id": "t-1",
        "pseudonym": pseudonym,
        "erased_until": NOW.isoformat().replace("+00:00", "Z"),
    }
    told = [json.loads(each.value() or b"") for each in read_all(engine.settings, engine.settings.results_topic, 3)]
    assert [each["event_type"] for each in told if each["student_id"] == "s-1"] == ["student.erased"]
    assert [each["data"]["score"] for each in told if each["student_id"] == "s-2"] == [0.24, 0.12]
