"""A bridge restores the erasures that Redis has lost before it accepts events, on each kind of Kafka broker."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from app.bootstrap import Engine
from app.clock import microseconds
from app.config.settings import Settings
from app.events.ledger import ChunkId
from app.privacy.erasure_record import encode_record
from consumers.bridge import erasure_replay
from consumers.bridge.erasure_replay import ErasureReplay
from consumers.kafka.clients import producer
from consumers.relay import Relay
from tests.conftest import NOW
from tests.integration.running_bridge import SECONDS, Running, own_topics, produce, values, wait_until_committed
from tests.learning_events import quiz
from tests.stack import wait_for

TENANT = "t-1"
EVENT = json.dumps(quiz(student_id="s-1")).encode()
UNTIL = NOW - timedelta(hours=1)


@pytest.fixture
def settings(settings: Settings, any_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, any_kafka, tmp_path)


def lose_everything(engine: Engine) -> None:
    engine.redis.delete(*engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"))


def announce(engine: Engine, *students: str) -> None:
    """Record erasures in Kafka."""
    engine.outbox.announce_erased(TENANT, students, UNTIL)
    relay = Relay(engine, producer(engine.settings))
    assert relay.step()
    relay.stop()
    relay.run()  # releases its lease


def is_known(engine: Engine, student: str) -> bool:
    erasure = {engine.audit.pseudonym(TENANT, student): microseconds(UNTIL)}
    return not engine.mastery.facts.lost_erasures(TENANT, erasure)


def test_a_replay_from_the_first_offset_brings_nothing_back(engine: Engine) -> None:
    """Redis lost everything while no bridge ran: the erasure is known when the first events are accepted."""
    announce(engine, "s-1")
    lose_everything(engine)
    known: list[bool] = []

    def look(chunk_ids: Sequence[ChunkId]) -> None:
        known.append(is_known(engine, "s-1"))
        bridge.record(chunk_ids)

    produce(engine.settings, EVENT, *values(20))
    bridge = Running(engine, look)
    with bridge:
        wait_until_committed(engine)
    assert known
    assert all(known)
    assert not is_known(engine, "s-2")


def test_a_running_bridge_restores_erasures(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Redis is emptied while it runs: before it reads the events again, which it is told by their positions."""
    announce(engine, "s-1")
    known: list[bool] = []

    def look(chunk_ids: Sequence[ChunkId]) -> None:
        known.append(is_known(engine, "s-1"))
        bridge.record(chunk_ids)

    bridge = Running(engine, look)
    with bridge:
        produce(engine.settings, EVENT)
        wait_until_committed(engine)
        lose_everything(engine)
        wait_for(lambda: len(bridge.recorded) == 2, SECONDS)
    assert known == [True, True]
    assert "erasures that Redis had lost: 1" in caplog.text


def test_an_erasure_that_was_lost_without_any_event_is_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash of Redis took back only the erasure and the position of its record: a bridge looks from time to time."""
    monkeypatch.setattr(erasure_replay, "FOLLOW_SECONDS", 0.2)
    with Running(engine, relays=False):
        produce(engine.settings, EVENT)
        wait_until_committed(engine)
        announce(engine, "s-1")
        wait_for(lambda: is_known(engine, "s-1"), SECONDS)
        positions = [key for key in engine.redis.scan_iter("*") if engine.settings.erasures_topic.encode() in key]
        engine.redis.delete(f"{engine.settings.key_prefix}:{{{TENANT}}}:erased", *positions)
        wait_for(lambda: is_known(engine, "s-1"), SECONDS)


def test_what_was_read_is_not_read_again(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """By any bridge; what is no record of an erasure is skipped, and its place is logged."""
    out = producer(engine.settings)
    out.produce(engine.settings.erasures_topic, b'{"student_id": "s-secret"}')
    assert out.flush(10) == 0
    announce(engine, "s-1", "s-2")
    ErasureReplay(engine).catch_up()
    assert is_known(engine, "s-1")
    assert is_known(engine, "s-2")
    assert caplog.text.count("not an erasure: partition ") == 1
    assert "s-secret" not in caplog.text
    engine.redis.delete(f"{engine.settings.key_prefix}:{{{TENANT}}}:erased")
    ErasureReplay(engine).catch_up()
    assert not is_known(engine, "s-1")
    announce(engine, "s-3")
    ErasureReplay(engine).catch_up()
    assert [is_known(engine, each) for each in ("s-1", "s-2", "s-3")] == [False, False, True]


def test_the_last_record_of_a_student_counts(engine: Engine) -> None:
    """Kafka has not compacted them yet, or they are in several partitions since the number of partitions has changed."""
    pseudonym = engine.audit.pseudonym(TENANT, "s-1")
    out = producer(engine.settings)
    for partition, moment in ((0, 1), (1, microseconds(UNTIL)), (2, 2)):
        out.produce(engine.settings.erasures_topic, encode_record(TENANT, pseudonym, moment), partition=partition)
    assert out.flush(10) == 0
    ErasureReplay(engine).catch_up()
    assert is_known(engine, "s-1")
