"""A recreated topic is another topic, although it has the same name: on a real Apache Kafka, which assigns ids."""

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Event as Flag

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.bridge_heartbeats import BridgeState
from app.events.ledger import ChunkId
from consumers.dead_letters.producer import DeadLetterQueue
from consumers.kafka.clients import producer
from consumers.kafka.lag import Lag
from consumers.kafka.topic_ids import TopicIds
from tests.chaos.broker import ApacheKafka
from tests.conftest import NOW
from tests.integration.running_bridge import (
    SECONDS,
    Running,
    own_topics,
    produce,
    source,
    state,
    values,
    wait_until_committed,
)
from tests.stack import wait_for


@pytest.fixture
def settings(settings: Settings, apache_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, apache_kafka, tmp_path)


def make_anew(settings: Settings, topic: str) -> None:
    """Delete a topic and create it again: within a fraction of a second, like a script."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    ids = TopicIds(settings)
    former = ids.existing(topic)
    admin.delete_topics([topic])[topic].result(SECONDS)

    def is_another() -> bool:
        with suppress(KafkaException):  # not deleted yet, or a client has created it already
            admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(SECONDS)
        return ids.of(topic) not in {None, former}

    wait_for(is_another, SECONDS)


def test_a_topic_made_anew_while_the_bridge_was_stopped_is_read_from_its_beginning(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Although it is longer than the old positions, and somebody committed those to it."""
    produce(engine.settings, *values(30))
    with Running(engine):
        wait_until_committed(engine)
    former = engine.positions.of(source(engine))
    make_anew(engine.settings, engine.settings.events_topic)
    sent = values(200)
    produce(engine.settings, *sent)
    with closing(Lag(engine)) as lag:
        assert lag.records() == 200
        with Running(engine) as bridge:
            wait_for(lambda: lag.records() == 0, SECONDS)
    assert sorted(bridge.recorded) == sorted(sent)
    known = engine.positions.of(source(engine))
    assert f"(its id was {former.topic_id} and is now {known.topic_id}): it is read from its beginning" in caplog.text
    assert sum(known.offsets.values()) == 200
    assert engine.losses.known().records == 0


def test_a_topic_made_anew_while_the_bridge_does_not_fetch_is_read_from_its_beginning(engine: Engine) -> None:
    """For example, it waits for a queue; meanwhile the topic grew beyond the positions. Kafka's clients do not notice."""
    is_away = Flag()

    def enqueue(chunk_ids: Sequence[ChunkId]) -> None:
        if is_away.is_set():
            raise DependencyUnavailable("broker")
        bridge.record(chunk_ids)

    bridge = Running(engine, enqueue)
    with bridge, closing(Lag(engine)) as lag:
        produce(engine.settings, *values(30))
        wait_until_committed(engine)
        is_away.set()
        produce(engine.settings, *values(1))
        wait_for(lambda: state(engine) == BridgeState.WAITING, SECONDS)
        make_anew(engine.settings, engine.settings.events_topic)
        sent = values(200)
        produce(engine.settings, *sent)
        is_away.clear()
        wait_for(lambda: lag.records() == 0, SECONDS)
        wait_until_committed(engine)
    assert set(bridge.recorded[31:]) >= set(sent)
    assert sum(engine.positions.of(source(engine)).offsets.values()) == 200


def test_a_topic_made_anew_is_read_though_its_broker_was_restarted_before(
    settings: Settings, kafka_jars: Path, tmp_path: Path
) -> None:
    """The new topic's leader epochs are lower than the old one's: the old consumer would read nothing any more."""
    broker = ApacheKafka(tmp_path / "kafka", kafka_jars)
    try:
        broker.start()
        own = own_topics(settings, broker.bootstrap_servers, tmp_path)
        broker.kill()
        broker.start()
        engine = bootstrap(own, clock=lambda: NOW)
        with Running(engine) as bridge, closing(Lag(engine)) as lag:
            produce(own, *values(30))
            wait_until_committed(engine)
            make_anew(own, own.events_topic)
            sent = values(200)
            produce(own, *sent)
            wait_for(lambda: set(bridge.recorded) >= set(sent) and lag.records() == 0, SECONDS)
        engine.redis.close()
    finally:
        broker.put_away()


def test_a_bridge_that_believes_in_the_former_topic_is_refused(engine: Engine) -> None:
    """The ledger's positions are for another topic: the bridge queries the topic's id again, and nothing is missed."""
    first, more = values(30), values(30)
    produce(engine.settings, *first)
    with Running(engine) as bridge:
        wait_until_committed(engine)
        key = f"{engine.settings.key_prefix}:{{.events}}:positions:{source(engine)}"
        engine.redis.hset(key, "topic-id", "of-another")
        produce(engine.settings, *more)
        wait_for(lambda: engine.positions.of(source(engine)).topic_id != "of-another", SECONDS)
        wait_until_committed(engine)
    assert set(bridge.recorded) == {*first, *more}
    assert sum(engine.positions.of(source(engine)).offsets.values()) == 60


def test_positions_stored_by_the_topic_s_name_are_taken_over(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Positions of the previous version: the bridge continues there, and stores the topic's id."""
    first, second = values(30), values(30)
    produce(engine.settings, *first)
    with Running(engine):
        wait_until_committed(engine)
    key = f"{engine.settings.key_prefix}:{{.events}}:positions:{source(engine)}"
    engine.redis.hdel(key, "topic-id", "begun")
    produce(engine.settings, *second)
    with caplog.at_level("INFO"), Running(engine) as bridge:
        wait_until_committed(engine)
    assert sorted(bridge.recorded) == sorted(second)
    assert engine.positions.of(source(engine)).topic_id == TopicIds(engine.settings).of(engine.settings.events_topic)
    assert "positions stored for topic" in caplog.text


def test_where_the_dead_letters_ended_holds_for_their_topic_only(engine: Engine) -> None:
    """A crashed relay sent dead letters to the new topic, before the old end offset: they are found."""
    settings = engine.settings
    queue = DeadLetterQueue(producer(settings), settings)
    former = queue.log()
    engine.ledger.letters_delivered("0-1", former, dict.fromkeys(range(4), 100))
    make_anew(settings, settings.dlq_topic)
    log = queue.log()
    assert log != former
    assert engine.ledger.letters_end(former) == dict.fromkeys(range(4), 100)
    assert engine.ledger.letters_end(log) == {}
    queue.close()


def test_a_topic_that_is_gone_is_waited_for(engine: Engine) -> None:
    """Its positions stay until there is another topic of that name."""
    produce(engine.settings, *values(30))
    with Running(engine):
        wait_until_committed(engine)
    admin = AdminClient({"bootstrap.servers": engine.settings.kafka_bootstrap})
    topic = engine.settings.events_topic
    admin.delete_topics([topic])[topic].result(SECONDS)
    ids = TopicIds(engine.settings)
    wait_for(lambda: ids.of(topic) is None, SECONDS)
    with pytest.raises(DependencyUnavailable, match=f"kafka has no topic {topic}"):
        ids.existing(topic)
