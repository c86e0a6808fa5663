"""A bridge and its relay as threads that a test can inspect and stop, and their state in Kafka."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.bootstrap import Engine
from app.config.settings import Settings
from app.events.ledger import Attempt, ChunkId
from consumers.bridge.loop import Bridge
from consumers.kafka.clients import consumer, producer, reader, source_name
from consumers.kafka.lag import Lag
from consumers.relay import Relay
from tests.conftest import make_topics
from tests.learning_events import activity
from tests.stack import wait_for

SECONDS = 30.0
# The least that Kafka accepts. The embedded broker gives the partitions of a bridge that has left to others about as late.
SESSION_SECONDS = 6.0


class Running:
    """A bridge and its relay in threads, and a worker that only collects the contents of chunks.

    Without the relay, everything to be published waits, as if Kafka were unavailable.
    """

    def __init__(
        self, engine: Engine, enqueue: Callable[[Sequence[ChunkId]], None] | None = None, *, relays: bool = True
    ) -> None:
        self._engine = engine
        self.recorded: list[bytes] = []
        self._send = enqueue or self.record
        self._bridge = Bridge(connect=self._connect, engine=engine, enqueue=self._enqueue)
        self._parts: list[Bridge | Relay] = [self._bridge]
        if relays:
            self._parts.append(Relay(engine, producer(engine.settings)))
        self._threads = [Thread(target=part.run) for part in self._parts]

    def __enter__(self) -> "Running":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.stop()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _enqueue(self, chunk_ids: Sequence[ChunkId], *, in_bulk: bool) -> None:  # noqa: ARG002 - this worker has one queue
        self._send(chunk_ids)

    def record(self, chunk_ids: Sequence[ChunkId]) -> None:
        """Like a worker, without the mastery."""
        for chunk_id in chunk_ids:
            begun = self._engine.ledger.begin(chunk_id, Attempt("worker", 0))
            assert begun is not None
            assert len(begun.chunk.records) <= self._engine.settings.chunk_events
            self.recorded += [record.value for record in begun.chunk.records]
            self._engine.ledger.finish(chunk_id)

    def _connect(self, on_error: Callable[[KafkaError], None]) -> Consumer:
        self._consumer = consumer(self._engine.settings, on_error)
        return self._consumer

    def partitions(self) -> list[TopicPartition]:
        """The partitions that it owns now."""
        return self._consumer.assignment()

    def is_full(self) -> bool:
        """Whether it has noticed that too much waits to be published."""
        return self._bridge._heartbeat.is_full


def own_topics(settings: Settings, bootstrap_servers: str, folder: Path) -> Settings:
    """The settings with topics and a group for one test, on a broker."""
    name = uuid4().hex
    own = replace(
        settings,
        kafka_bootstrap=bootstrap_servers,
        kafka_group=f"group-{name}",
        events_topic=f"events-{name}",
        dlq_topic=f"dlq-{name}",
        results_topic=f"results-{name}",
        erasures_topic=f"erasures-{name}",
        chunk_events=50,
        kafka_session_seconds=SESSION_SECONDS,
        bridge_heartbeat_file=str(folder / "heartbeat"),
    )
    make_topics(bootstrap_servers, own.events_topic, own.dlq_topic, own.results_topic, own.erasures_topic)
    return own


def produce(settings: Settings, *values: bytes | None) -> None:
    out = producer(settings)
    for number, value in enumerate(values):
        out.produce(settings.events_topic, value=value, key=str(number))
    assert out.flush(10) == 0


def uncommitted(settings: Settings) -> int:
    """Records of the topic that the group has not committed."""
    asked = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.kafka_group})
    try:
        topic = asked.list_topics(settings.events_topic, timeout=10).topics[settings.events_topic]
        committed = asked.committed([TopicPartition(settings.events_topic, number) for number in topic.partitions], timeout=10)
        return sum(asked.get_watermark_offsets(each, timeout=10)[1] - max(0, each.offset) for each in committed)
    finally:
        asked.close()


def read_all(settings: Settings, topic: str, count: int) -> list[Message]:
    reader = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": uuid4().hex, "auto.offset.reset": "earliest"})
    partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
    reader.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages: list[Message] = []
    wait_for(lambda: len(messages.extend(reader.consume(100, 0.2)) or messages) >= count, SECONDS)  # type: ignore[func-returns-value]
    messages += reader.consume(100, 0.5)
    reader.close()
    return messages


def values(count: int) -> list[bytes]:
    return [json.dumps(activity(student_id=f"s-{number}")).encode() for number in range(count)]


def state(engine: Engine) -> str:
    return ", ".join(heartbeat.state for heartbeat in engine.bridges.heartbeats().values())


def wait_until_committed(engine: Engine) -> None:
    def is_committed() -> bool:
        try:
            return uncommitted(engine.settings) == 0
        except KafkaException:
            return False  # a new or busy broker does not know its group's coordinator at once

    wait_for(is_committed, SECONDS)


def source(engine: Engine) -> str:
    asked = reader(engine.settings)
    cluster_id = asked.list_topics(engine.settings.events_topic, timeout=10).cluster_id
    asked.close()
    return source_name(cluster_id, engine.settings.kafka_group, engine.settings.events_topic)


def let_pass(engine: Engine) -> None:
    """Like ``mastery bridge resume``: invalid records that are in the topic now go to the dead letters."""
    with closing(Lag(engine)) as lag:
        engine.positions.admit(*lag.ends())
