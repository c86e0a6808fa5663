"""The bridge between a real Kafka broker and a queue that the test watches: what is committed was queued or dead-lettered."""

import json
from collections.abc import Callable, Iterator
from threading import Event as Flag
from threading import Thread
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from msgspec.structs import replace

from app.bootstrap import Engine, bootstrap
from app.errors import DependencyUnavailable, InvalidInput
from app.events.chunk import decode_chunk
from app.events.dead_letter import ErrorType, invalid_event
from app.events.store import JOINING, RUNNING, WAITING
from app.health.readiness import ping_bridge
from app.settings import Settings
from consumers.bridge import Bridge
from consumers.dead_letters import DeadLetterQueue, Rejected
from consumers.feed import Lag
from consumers.kafka import consumer, producer
from tests.conftest import NOW
from tests.learning_events import activity, quiz
from tests.stack import wait_for

SECONDS = 30.0
VALID, INVALID = json.dumps(activity()).encode(), json.dumps(quiz(total_questions=0)).encode()


@pytest.fixture
def settings(settings: Settings, kafka_bootstrap: str) -> Settings:
    """Topics and a group of this test's own."""
    name = uuid4().hex
    own = replace(
        settings,
        kafka_bootstrap=kafka_bootstrap,
        kafka_group=f"group-{name}",
        events_topic=f"events-{name}",
        dlq_topic=f"dlq-{name}",
        chunk_events=50,
    )
    producer(own).list_topics(own.events_topic, timeout=10)
    return own


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An engine on topics of its own, at noon of 2026-10-28."""
    made = bootstrap(settings, clock=lambda: NOW)
    yield made
    made.redis.close()


class Running:
    """A bridge in a thread, with the values that it queued."""

    def __init__(self, engine: Engine, enqueue: Callable[[bytes], None] = lambda _chunk: None) -> None:
        settings = self._settings = engine.settings
        self.queued: list[bytes] = []
        self._enqueue = enqueue
        self._bridge = Bridge(
            connect=self._connect,
            topic=settings.events_topic,
            dead_letters=DeadLetterQueue(producer(settings), settings.dlq_topic),
            enqueue_chunk=self._queue,
            events=engine.events,
            clock=engine.clock,
            chunk_events=settings.chunk_events,
            chunk_wait_seconds=settings.chunk_wait_seconds,
        )
        self._thread = Thread(target=self._bridge.run)

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bridge.stop()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def _connect(self, on_error: Callable[[KafkaError], None]) -> Consumer:
        self._consumer = consumer(self._settings, on_error)
        return self._consumer

    def partitions(self) -> list[TopicPartition]:
        """Those that it owns now."""
        return self._consumer.assignment()

    def _queue(self, chunk: bytes) -> None:
        self._enqueue(chunk)
        self.queued += [record.value for record in decode_chunk(chunk)]


def produce(settings: Settings, *values: bytes | None) -> None:
    out = producer(settings)
    for number, value in enumerate(values):
        out.produce(settings.events_topic, value=value, key=str(number))
    assert out.flush(10) == 0


def unread(settings: Settings) -> int:
    lag = Lag(settings)
    try:
        return lag.records()
    finally:
        lag.close()


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


def test_valid_records_are_queued_in_chunks_and_then_committed(engine: Engine) -> None:
    """Every record once, none left unread, no chunk larger than the setting."""
    sent = values(220)
    sizes: list[int] = []
    produce(engine.settings, *sent)
    with Running(engine, lambda chunk: sizes.append(len(decode_chunk(chunk)))) as bridge:
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
    assert sorted(bridge.queued) == sorted(sent)
    assert max(sizes) <= engine.settings.chunk_events


def test_invalid_records_become_dead_letters_and_the_rest_goes_on(engine: Engine) -> None:
    """With the headers of the contract, counted, and with the key of their source."""
    produce(engine.settings, VALID, INVALID, b"\xff", None, VALID)
    with Running(engine) as bridge:
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
    assert bridge.queued == [VALID, VALID]
    assert engine.events.dead_letters() == {ErrorType.VALIDATION: 3}
    letters = {message.key(): message for message in read_all(engine.settings, engine.settings.dlq_topic, 3)}
    assert set(letters) == {b"1", b"2", b"3"}
    headers = dict(letters[b"1"].headers() or [])
    assert headers["dlq.topic"] == engine.settings.events_topic.encode()
    assert headers["dlq.error_type"] == b"validation_error"
    assert headers["dlq.replay_count"] == b"0"
    assert headers["dlq.partition"] in {b"0", b"1", b"2", b"3"}
    assert str(headers["dlq.offset"], "ascii").isdigit()  # type: ignore[arg-type]
    assert json.loads(letters[b"1"].value() or b"")["original_payload"] == json.loads(INVALID)


def test_a_queue_that_is_away_loses_nothing_and_dead_letters_nothing(engine: Engine) -> None:
    """The chunk is tried again until the queue takes it; meanwhile nothing is committed, and the bridge says it waits."""
    states: list[str] = []
    failures = iter([DependencyUnavailable("broker")] * 2)

    def enqueue(_chunk: bytes) -> None:
        heartbeat = engine.events.heartbeat()
        states.append(heartbeat.state if heartbeat else "")
        if error := next(failures, None):
            assert unread(engine.settings) == 3
            raise error

    produce(engine.settings, *values(3))
    with Running(engine, enqueue) as bridge:
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
        produce(engine.settings, *values(2))
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
    assert len(bridge.queued) == 5
    assert WAITING in states
    assert engine.events.dead_letters() == {}


def test_a_bridge_stopped_while_the_queue_is_away_leaves_the_records_to_the_next(engine: Engine) -> None:
    """What was not queued was not committed."""
    tried: list[bytes] = []

    def refuse(chunk: bytes) -> None:
        tried.append(chunk)
        raise DependencyUnavailable("broker")

    produce(engine.settings, *values(3))
    with Running(engine, refuse):
        wait_for(lambda: bool(tried), SECONDS)
    assert unread(engine.settings) == 3
    with Running(engine) as next_bridge:
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
    assert len(next_bridge.queued) == 3


def test_two_bridges_share_the_partitions_and_miss_nothing(engine: Engine) -> None:
    """A second one joins and leaves while records flow; each record is queued, by one or the other, at least once."""
    sent = values(400)
    with Running(engine) as first:
        produce(engine.settings, *sent[:100])
        wait_for(lambda: len(first.queued) >= 50, SECONDS)
        with Running(engine) as second:
            produce(engine.settings, *sent[100:300])
            wait_for(lambda: unread(engine.settings) == 0, SECONDS)
        produce(engine.settings, *sent[300:])
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
    assert {*first.queued, *second.queued} == set(sent)


def test_partitions_that_come_while_it_waits_are_read_afterwards(engine: Engine) -> None:
    """Another bridge leaves while this one waits for the queue: what it is then given is neither skipped nor taken early."""
    away, tried = Flag(), []
    away.set()

    def enqueue(chunk: bytes) -> None:
        tried.append(chunk)
        if away.is_set():
            raise DependencyUnavailable("broker")

    sent = values(300)
    with Running(engine, enqueue) as waiting:
        with Running(engine) as leaving:
            wait_for(lambda: len(waiting.partitions()) == len(leaving.partitions()) == 2, SECONDS)
            produce(engine.settings, *sent[:150])
            wait_for(lambda: bool(tried) and bool(leaving.queued), SECONDS)
        produce(engine.settings, *sent[150:])
        wait_for(lambda: len(waiting.partitions()) == 4, SECONDS)
        attempts = len(tried)
        wait_for(lambda: len(tried) >= attempts + 3, SECONDS)  # polled for three seconds with the new partitions
        assert waiting.queued == []
        away.clear()
        wait_for(lambda: unread(engine.settings) == 0, SECONDS)
    assert {*waiting.queued, *leaving.queued} == set(sent)


def test_readiness_follows_the_heartbeat(engine: Engine) -> None:
    """No sign of life, joining and waiting are not ready; running is."""
    with pytest.raises(DependencyUnavailable, match="no sign of life"):
        ping_bridge(engine.events)
    seen: set[str] = set()
    with Running(engine):
        wait_for(lambda: seen.add(_state(engine)) or RUNNING in seen, SECONDS)  # type: ignore[func-returns-value]
        ping_bridge(engine.events)
    assert seen <= {"", JOINING, RUNNING}


def test_dead_letters_that_do_not_arrive_are_an_outage(settings: Settings) -> None:
    """The queue says so, rather than let the offsets be committed."""
    nowhere = Producer({"bootstrap.servers": "127.0.0.1:9", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0})
    letter = invalid_event(INVALID, InvalidInput("", "broken"), NOW)
    with pytest.raises(DependencyUnavailable, match="kafka"):
        DeadLetterQueue(nowhere, settings.dlq_topic).send([Rejected("t", 0, 0, None, letter)])


def _state(engine: Engine) -> str:
    heartbeat = engine.events.heartbeat()
    return heartbeat.state if heartbeat else ""
