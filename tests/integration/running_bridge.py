"""A bridge and its relay as threads of a test, which can look at them and stop them."""

from collections.abc import Callable, Sequence
from threading import Thread

from confluent_kafka import Consumer, KafkaError, TopicPartition

from app.bootstrap import Engine
from app.events.ledger import Attempt, ChunkId
from consumers.bridge import Bridge
from consumers.kafka import consumer, producer
from consumers.relay import Relay

SECONDS = 30.0


class Running:
    """A bridge and its relay in threads, and a worker that only notes the values of the chunks.

    Without the relay it is as if Kafka took nothing: what is to be told waits.
    """

    def __init__(
        self, engine: Engine, enqueue: Callable[[Sequence[ChunkId]], None] | None = None, *, relays: bool = True
    ) -> None:
        self._engine = engine
        self.recorded: list[bytes] = []
        self._bridge = Bridge(connect=self._connect, engine=engine, enqueue=enqueue or self.record)
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

    def record(self, chunk_ids: Sequence[ChunkId]) -> None:
        """What a worker does, but for the mastery."""
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
        """Those that it owns now."""
        return self._consumer.assignment()

    def is_choked(self) -> bool:
        """Whether it has seen that too much waits to be told."""
        return self._bridge._signs.is_choked
