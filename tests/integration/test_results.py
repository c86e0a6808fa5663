"""The messages on ``mastery.results``, read from Kafka like by another service."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from app.mastery.query_mastery import query_mastery
from consumers.kafka.clients import producer, reader
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

SECONDS = 30.0


class Results:
    """A consumer of the results of one tenant."""

    def __init__(self, stack: Stack, tenant: str) -> None:
        settings = stack.engine.settings
        self._tenant = tenant
        self._reader: Consumer = reader(settings)
        partitions = self._reader.list_topics(settings.results_topic, timeout=10).topics[settings.results_topic].partitions
        self._reader.assign([TopicPartition(settings.results_topic, number, 0) for number in partitions])
        self.messages: list[dict[str, Any]] = []
        self.keys: list[bytes | None] = []

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        wait_for(lambda: self._read() >= count, SECONDS)
        return self.messages

    def of(self, student: str) -> list[dict[str, Any]]:
        """The updates of a student so far."""
        self._read()
        return [each for each in self.messages if (each["student_id"], each["event_type"]) == (student, "mastery.updated")]

    def scores(self, student: str) -> list[float]:
        """The scores in the updates of a student so far."""
        return [message["data"]["score"] for message in self.of(student)]

    def _read(self) -> int:
        for message in self._reader.consume(500, 0.2):
            value = json.loads(message.value() or b"{}") if message.error() is None else {}
            if value.get("tenant_id") == self._tenant:
                self.messages.append(value)
                self.keys.append(message.key())
        return len(self.messages)

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def results(stack: Stack, tenant: str) -> Iterator[Results]:
    found = Results(stack, tenant)
    yield found
    found.close()


def produce(stack: Stack, *events: dict[str, Any]) -> None:
    out = producer(stack.engine.settings)
    for event in events:
        key = f"{event['tenant_id']}/{event['student_id']}"
        out.produce(stack.engine.settings.events_topic, json.dumps(event).encode(), key=key)
    assert out.flush(10) == 0


def now() -> str:
    return (datetime.now(UTC) - timedelta(minutes=1)).isoformat()


def test_a_change_is_told_with_what_was_before(stack: Stack, tenant: str, results: Results) -> None:
    """First without a previous score, then with one; a level that is crossed has its own message."""
    produce(stack, quiz(tenant_id=tenant, timestamp=now(), correct_answers=8))
    (first,) = results.wait_for(1)
    produce(stack, quiz(tenant_id=tenant, timestamp=now(), correct_answers=4))
    _, second = results.wait_for(2)
    assert (first["event_type"], first["student_id"], first["cohort_id"]) == ("mastery.updated", "s-1", "c-1")
    assert first["data"] == {
        "revision": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "score": 0.24,
        "level": "beginner",
        "previous_score": None,
        "previous_level": None,
    }
    assert second["data"] | {"date": ""} == {
        "revision": 2,
        "date": "",
        "score": 0.18,
        "level": "beginner",
        "previous_score": 0.24,
        "previous_level": "beginner",
    }
    assert first["event_id"] != second["event_id"]
    assert set(results.keys) == {f"{tenant}/{stack.engine.audit.pseudonym(tenant, 's-1')}".encode()}


def test_what_changes_nothing_is_not_told(stack: Stack, tenant: str, results: Results) -> None:
    """A repeated event, and one that leaves the score as it is."""
    event = quiz(tenant_id=tenant, timestamp=now())
    produce(stack, event)
    results.wait_for(1)
    produce(stack, event, quiz(tenant_id=tenant, timestamp=now()))
    wait_for(lambda: sum(stack.engine.event_totals.of(tenant)) == 3, SECONDS)
    produce(stack, quiz(tenant_id=tenant, timestamp=now(), correct_answers=0))
    assert [message["data"]["revision"] for message in results.wait_for(2)] == [1, 3]


def test_a_student_s_changes_come_in_order(stack: Stack, tenant: str, results: Results) -> None:
    """This holds under other load; the last one equals the result of a query."""
    students, rounds = [f"s-{number}" for number in range(5)], 6
    for number in range(rounds):
        produce(
            stack,
            *(quiz(tenant_id=tenant, student_id=each, timestamp=now(), correct_answers=number) for each in students),
        )
    wait_for(lambda: stack.engine.event_totals.of(tenant).applied == len(students) * rounds, SECONDS)
    for student in students:
        final = query_mastery(tenant, student, stores=stack.engine.mastery, now=datetime.now(UTC)).score
        wait_for(lambda student=student, final=final: results.scores(student)[-1:] == [final], SECONDS)  # type: ignore[misc]
        told = results.of(student)
        revisions = [message["data"]["revision"] for message in told]
        assert revisions == sorted(set(revisions))
        assert [message["data"]["previous_score"] for message in told[1:]] == results.scores(student)[:-1]


def test_an_erasure_follows_the_changes(stack: Stack, tenant: str, results: Results) -> None:
    """It has the key of the student's other messages, which has no id; a repeat is the same message."""
    produce(stack, quiz(tenant_id=tenant, timestamp=now()))
    results.wait_for(1)
    until = datetime.now(UTC)
    for _ in range(2):
        stack.engine.outbox.announce_erased(tenant, ["s-1"], until)
    updated, *erased = results.wait_for(3)
    assert [updated["event_type"], *(each["event_type"] for each in erased)] == ["mastery.updated", *["student.erased"] * 2]
    assert erased[0] == erased[1]
    assert (erased[0]["student_id"], erased[0]["tenant_id"]) == ("s-1", tenant)
    assert datetime.fromisoformat(erased[0]["data"]["erased_until"]) == until
    assert set(results.keys) == {f"{tenant}/{stack.engine.audit.pseudonym(tenant, 's-1')}".encode()}
