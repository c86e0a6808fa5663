"""The engine reports losses until an operator acknowledges them: on a real Apache Kafka, which deletes records too."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.errors import Degraded
from app.health.readiness import check_readiness, ping_state
from consumers.kafka.clients import producer
from consumers.metrics import EngineCollector
from tests.integration.running_bridge import SECONDS, Running, own_topics, produce, source, values, wait_until_committed
from tests.stack import wait_for

DAY_MS = 86_400_000


@pytest.fixture
def engine(settings: Settings, apache_kafka: str, tmp_path: Path) -> Iterator[Engine]:
    """At the current time, which the broker uses too."""
    made = bootstrap(own_topics(settings, apache_kafka, tmp_path))
    yield made
    made.redis.close()


def lose_everything(engine: Engine) -> None:
    """Like an empty disk of Redis."""
    engine.redis.delete(*engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"))


def expire(engine: Engine, upto: int) -> None:
    """Let Kafka delete the first records of each partition, like its retention."""
    admin = AdminClient({"bootstrap.servers": engine.settings.kafka_bootstrap})
    ends = [TopicPartition(engine.settings.events_topic, partition, upto) for partition in range(4)]
    for deleted in admin.delete_records(ends).values():
        deleted.result(SECONDS)


def produce_evenly(engine: Engine, count: int, *, days_ago: int = 0) -> list[bytes]:
    """This many events for each partition."""
    sent = values(4 * count)
    out = producer(engine.settings)
    at = round(time.time() * 1000) - days_ago * DAY_MS
    for number, each in enumerate(sent):
        out.produce(engine.settings.events_topic, each, partition=number % 4, timestamp=at)
    assert out.flush(SECONDS) == 0
    return sent


def is_read(engine: Engine) -> None:
    with Running(engine):
        wait_until_committed(engine)


def metric(engine: Engine, name: str) -> float:
    return next(each.samples[0].value for each in EngineCollector(engine).collect() if each.name == name)


def status(engine: Engine) -> str:
    return check_readiness({"state": lambda: ping_state(engine.losses)}, engine.clock()).status


def test_events_that_are_gone_from_redis_and_kafka_are_told(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """By an error that lists what else is lost, a metric and /ready, until an operator acknowledges it."""
    sent = produce_evenly(engine, 10)
    is_read(engine)
    expire(engine, 4)
    lose_everything(engine)
    with Running(engine) as bridge:
        wait_for(lambda: len(bridge.recorded) == 24, SECONDS)
        assert set(bridge.recorded) == set(sent[16:])
    assert "Redis has lost its state" in caplog.text
    assert "revocations of tokens, idempotency records, which dead letters were handled, and the audit trail" in caplog.text
    assert "16 events may be missing" in caplog.text
    loss = engine.losses.known()
    assert (loss.records, loss.is_acknowledged, loss.state_lost_at is not None) == (16, False, True)
    assert (metric(engine, "mastery_lost_records"), metric(engine, "mastery_state_lost")) == (16, 1)
    with pytest.raises(Degraded, match="up to 16 events that Kafka has no longer"):
        ping_state(engine.losses)
    assert status(engine) == "degraded"
    engine.losses.acknowledge(loss)
    assert status(engine) == "ready"
    assert (metric(engine, "mastery_lost_records"), metric(engine, "mastery_state_lost")) == (0, 0)
    assert engine.losses.known().state_lost_at == loss.state_lost_at


def test_a_loss_that_a_running_bridge_finds_is_told(engine: Engine) -> None:
    """Redis is emptied while the bridge runs."""
    with Running(engine):
        produce_evenly(engine, 10)
        wait_until_committed(engine)
        expire(engine, 4)
        lose_everything(engine)
        wait_for(lambda: engine.losses.known().records == 16, SECONDS)
        wait_for(lambda: engine.ledger.counts().records == 24, SECONDS)


def test_each_of_two_bridges_tells_what_its_partitions_lost(engine: Engine) -> None:
    """The first one records that the state was lost; the other's partitions must still not count as new."""
    with Running(engine) as first, Running(engine) as second:
        wait_for(lambda: len(first.partitions()) == len(second.partitions()) == 2, SECONDS)
        produce_evenly(engine, 10)
        wait_until_committed(engine)
        expire(engine, 4)
        lose_everything(engine)
        wait_for(lambda: engine.losses.known().records == 16, SECONDS)


def test_what_kafka_has_back_to_the_retention_is_rebuilt_and_no_alarm(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The rest has expired. The log says so, and lists what does not come back."""
    produce_evenly(engine, 5, days_ago=101)
    produce_evenly(engine, 5, days_ago=100)
    sent = produce_evenly(engine, 5)
    is_read(engine)
    expire(engine, 5)
    lose_everything(engine)
    with caplog.at_level("INFO"), Running(engine) as bridge:
        wait_for(lambda: len(bridge.recorded) == 40, SECONDS)
    assert set(bridge.recorded) > set(sent)
    assert "every student's mastery is rebuilt" in caplog.text
    assert "Lost for good: revocations of tokens" in caplog.text
    loss = engine.losses.known()
    assert (loss.records, loss.state_lost_at is not None) == (0, True)
    assert status(engine) == "ready"


def test_events_that_were_never_taken_are_told(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The bridge was down for longer than Kafka's retention."""
    produce_evenly(engine, 10)
    is_read(engine)
    produce_evenly(engine, 10)
    expire(engine, 15)
    is_read(engine)
    assert "records 10 to 14 are gone from Kafka, and were never taken" in caplog.text
    loss = engine.losses.known()
    assert (loss.records, loss.state_lost_at) == (20, None)
    assert status(engine) == "degraded"


def test_events_that_were_never_taken_from_a_partition_that_was_empty_are_told(engine: Engine) -> None:
    """Nothing of it had been accepted, but the start of the partition is known."""
    with Running(engine):
        wait_for(lambda: len(engine.positions.of(source(engine)).offsets) == 4, SECONDS)
    produce_evenly(engine, 10)
    expire(engine, 7)
    is_read(engine)
    assert engine.losses.known().records == 28


def test_a_first_start_is_no_loss(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody read the topic before its first records were deleted."""
    produce_evenly(engine, 10)
    expire(engine, 4)
    with caplog.at_level("INFO"):
        is_read(engine)
    assert "is read for the first time" in caplog.text
    assert engine.losses.known().is_acknowledged
    assert status(engine) == "ready"


def test_a_group_that_expired_is_no_loss(engine: Engine) -> None:
    """Its committed offsets are gone, as after a week without a bridge; Redis has the positions."""
    produce_evenly(engine, 10)
    is_read(engine)
    admin = AdminClient({"bootstrap.servers": engine.settings.kafka_bootstrap})
    group = engine.settings.kafka_group
    admin.delete_consumer_groups([group])[group].result(SECONDS)
    sent = produce_evenly(engine, 3)
    with Running(engine) as bridge:
        wait_until_committed(engine)
    assert sorted(bridge.recorded) == sorted(sent)
    assert engine.losses.known().is_acknowledged
    assert sum(engine.positions.of(source(engine)).offsets.values()) == 52


def test_positions_of_another_cluster_are_no_loss(engine: Engine) -> None:
    """Redis has its state, but does not know this source."""
    produce(engine.settings, *values(20))
    is_read(engine)
    engine.redis.rename(
        f"{engine.settings.key_prefix}:{{.events}}:positions:{source(engine)}",
        f"{engine.settings.key_prefix}:{{.events}}:positions:elsewhere",
    )
    with Running(engine):
        wait_for(lambda: engine.ledger.counts().records == 40, SECONDS)
    assert engine.losses.known().is_acknowledged
