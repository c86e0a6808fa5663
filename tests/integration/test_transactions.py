"""Offsets without records: transaction markers, and gaps of aborted transactions. On a real Apache Kafka."""

from contextlib import closing
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import pytest
from confluent_kafka import Producer

from app.bootstrap import Engine
from app.config.settings import Settings
from consumers.kafka.lag import Lag
from consumers.kafka.paced_producer import produce_paced
from tests.integration.running_bridge import SECONDS, Running, own_topics, produce, source, uncommitted, values
from tests.stack import wait_for


@pytest.fixture
def settings(settings: Settings, apache_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, apache_kafka, tmp_path)


@pytest.fixture
def transactional(engine: Engine) -> Producer:
    out = Producer({"bootstrap.servers": engine.settings.kafka_bootstrap, "transactional.id": uuid4().hex, "log_level": 0})
    out.init_transactions(SECONDS)
    return out


KEY = b"key"
assert crc32(KEY) % 4 != 0  # librdkafka's partitioner: not the partition of the transactions


def send(out: Producer, engine: Engine, *sent: bytes, commit: bool) -> None:
    out.begin_transaction()
    for each in sent:
        out.produce(engine.settings.events_topic, each, partition=0)
    out.flush(SECONDS)
    (out.commit_transaction if commit else out.abort_transaction)(SECONDS)


def test_an_aborted_transaction_at_the_end_is_no_lag(engine: Engine, transactional: Producer) -> None:
    """Neither its records nor the markers count: the bridge passes them, and commits its position."""
    first, more = values(10), values(3)
    produce(engine.settings, *first)
    with closing(Lag(engine)) as lag, Running(engine) as bridge:
        wait_for(lambda: len(bridge.recorded) == 10, SECONDS)
        send(transactional, engine, *values(500), commit=False)
        wait_for(lambda: lag.records() == 0 and uncommitted(engine.settings) == 0, SECONDS)
        send(transactional, engine, *more, commit=True)
        wait_for(lambda: lag.records() == 0, SECONDS)
    assert sorted(bridge.recorded) == sorted(first + more)
    assert engine.ledger.counts() == (13, {}, 0)
    assert engine.positions.of(source(engine)).offsets[0] > 500


def test_a_partition_of_nothing_but_an_aborted_transaction_is_no_lag(engine: Engine, transactional: Producer) -> None:
    """Also if the bridge starts afterwards."""
    send(transactional, engine, *values(50), commit=False)
    with closing(Lag(engine)) as lag:
        assert lag.records() == 51
        with Running(engine) as bridge:
            wait_for(lambda: lag.records() == 0, SECONDS)
    assert bridge.recorded == []


def test_events_can_be_fed_behind_an_aborted_transaction(
    engine: Engine, transactional: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer waits for the bridge, and not for records that nobody will ever read."""
    monkeypatch.setattr("consumers.kafka.paced_producer.MAX_UNREAD_BYTES", 10_000)
    monkeypatch.setattr("consumers.kafka.paced_producer.CHECK_EVERY_BYTES", 1)
    monkeypatch.setattr("consumers.kafka.delivery.BATCH", 10)
    monkeypatch.setattr("consumers.kafka.paced_producer.STALLED_SECONDS", SECONDS)
    send(transactional, engine, *values(500), commit=False)
    with Running(engine) as bridge:
        assert produce_paced(engine, ((KEY, value) for value in values(100))) == 100
        wait_for(lambda: len(bridge.recorded) == 100, SECONDS)
