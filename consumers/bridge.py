"""The bridge: records from Kafka become chunks, each a Celery task; what can never be an event becomes a dead letter.

One step of it, in the order that makes a crash at any point harmless:

1. read some records, and decode and validate every one of them;
2. deliver the dead letters of the invalid ones;
3. queue the valid ones as one chunk (or several, if they are very large);
4. commit their offsets.

A crash before 4 repeats the records: events that were applied are then known by their marks. While Redis or Kafka is away the
step in hand is repeated until it succeeds; partitions are paused meanwhile, and the membership in the group is kept.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event as Flag

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.clock import Clock
from app.errors import DependencyUnavailable, InvalidInput
from app.events.chunk import SourceRecord, encode_chunk, split
from app.events.dead_letter import MAX_TEXT, ErrorType, invalid_event
from app.events.event import decode_event
from app.events.store import JOINING, RUNNING, WAITING, EventStore, Heartbeat
from consumers.dead_letters import DeadLetterQueue, Rejected

HEARTBEAT_SECONDS = 1.0
LOGGED_REASONS = 5  # of each read; all of them are in the dead letters
RETRY_SECONDS = 1.0  # between attempts while a dependency is away; each attempt has its own timeouts

_log = logging.getLogger(__name__)


class Bridge:
    """Reads the events topic until it is stopped. Not thread-safe: one bridge, one thread."""

    def __init__(
        self,
        *,
        connect: Callable[[Callable[[KafkaError], None]], Consumer],
        topic: str,
        dead_letters: DeadLetterQueue,
        enqueue_chunk: Callable[[bytes], None],
        events: EventStore,
        clock: Clock,
        chunk_events: int,
        chunk_wait_seconds: float,
    ) -> None:
        self._consumer = connect(self.kafka_failed)
        self._topic = topic
        self._dead_letters = dead_letters
        self._enqueue_chunk = enqueue_chunk
        self._events = events
        self._clock = clock
        self._chunk_events = chunk_events
        self._chunk_wait = chunk_wait_seconds
        self._stopped = Flag()
        self._kafka_away = Flag()
        self._state = JOINING
        self._records = self._rejected = 0
        self._next_heartbeat = self._next_commit = 0.0
        # The next offset of each partition, of records that are queued or dead-lettered and not yet committed.
        self._finished: dict[tuple[str, int], int] = {}

    def run(self) -> None:
        """Bridge records until ``stop`` is called, then commit, leave the group and return."""
        self._consumer.subscribe([self._topic], on_assign=self._joined, on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not self._stopped.is_set():
                self.step()
        finally:
            self._consumer.close()

    def stop(self) -> None:
        """Finish the step in hand, then stop. May be called from a signal handler."""
        self._stopped.set()

    def step(self) -> int:
        """Read, sort out, queue and commit one chunk. Returns the number of records read."""
        self._report(self._state)
        messages = self._read()
        if not messages:
            self._commit()  # what a rebalance kept from being committed
            return 0
        records, rejected = self._sort_out(messages)
        if rejected and not self._dead_letter(rejected):
            return 0
        for chunk in map(encode_chunk, split(records)):
            if not self._insist(partial(self._enqueue_chunk, chunk)):
                return 0
        owned = {(each.topic, each.partition) for each in self._consumer.assignment()}
        for message in messages:
            topic, partition, offset = _place(message)
            if (topic, partition) in owned:  # if not, it went to another bridge while this one waited
                self._finished[topic, partition] = offset + 1
        self._next_commit = 0.0
        self._commit()
        self._records += len(messages)
        self._rejected += len(rejected)
        return len(messages)

    def _joined(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._state = RUNNING

    def _read(self) -> list[Message]:
        messages = []
        for message in self._consumer.consume(self._chunk_events, self._chunk_wait):
            error = message.error()
            if error is None:
                messages.append(message)
            else:  # what librdkafka reports here it also retries; nothing is lost
                _log.warning("kafka: %s", error.str())
        return messages

    def _sort_out(self, messages: Sequence[Message]) -> tuple[list[SourceRecord], list[Rejected]]:
        now = self._clock()
        records: list[SourceRecord] = []
        rejected: list[Rejected] = []
        for message in messages:
            topic, partition, offset = _place(message)
            value = message.value()
            try:
                decode_event(value, now)
            except InvalidInput as error:
                if len(rejected) < LOGGED_REASONS:
                    _log.warning("partition %d offset %d is no valid event: %s", partition, offset, str(error)[:MAX_TEXT])
                rejected.append(Rejected(topic, partition, offset, message.key(), invalid_event(value, error, now)))
            else:
                records.append(SourceRecord(partition, offset, value or b""))
        return records, rejected

    def _dead_letter(self, rejected: Sequence[Rejected]) -> bool:
        _log.warning("to the dead letters: %d", len(rejected))
        counts = {ErrorType.VALIDATION: len(rejected)}
        # Two steps, so that letters that arrived are not sent again because they could not be counted.
        return self._insist(partial(self._dead_letters.send, rejected)) and self._insist(
            partial(self._events.count_dead_letters, counts)
        )

    def _commit(self) -> None:
        """Commit what is finished. What the broker does not take now, during a rebalance, is tried again a second later."""
        if not self._finished or time.monotonic() < self._next_commit:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._finished.items()]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            _log.info("offsets not committed yet: %s", error)
            results = []
        for result in results:
            if result.error is None:
                self._finished.pop((result.topic, result.partition), None)
        if self._finished:
            self._next_commit = time.monotonic() + RETRY_SECONDS

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions go to another bridge: commit what is finished of them while they are still ours."""
        self._next_commit = 0.0
        self._commit()
        self._lost(_consumer, partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions are another bridge's already: what was not committed comes again there, as duplicates."""
        for each in partitions:
            self._finished.pop((each.topic, each.partition), None)

    def _insist(self, action: Callable[[], None]) -> bool:
        """Repeat an action until its dependency answers. False if the bridge was stopped before it did."""
        paused: list[TopicPartition] = []
        try:
            while True:
                try:
                    action()
                except DependencyUnavailable as error:
                    if self._stopped.is_set():
                        return False
                    _log.warning("%s; trying again", error, exc_info=error.__cause__)
                    self._report(WAITING)
                    paused = self._wait(RETRY_SECONDS)
                else:
                    return True
        finally:
            if paused:
                owned = {(each.topic, each.partition) for each in self._consumer.assignment()}
                self._consumer.resume([each for each in paused if (each.topic, each.partition) in owned])

    def _wait(self, seconds: float) -> list[TopicPartition]:
        """Keep the membership in the group without reading on. Returns the partitions paused for it."""
        paused = self._consumer.assignment()
        self._consumer.pause(paused)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._stopped.is_set():
            message = self._consumer.poll(left)
            if message is not None and message.error() is None:
                # From a partition assigned meanwhile: it is not paused yet, and its turn comes again.
                topic, partition, offset = _place(message)
                here = TopicPartition(topic, partition, offset)
                self._consumer.pause([here])
                self._consumer.seek(here)
                paused.append(here)
        return paused

    def kafka_failed(self, error: KafkaError) -> None:
        """What the consumer has to say of its brokers; called from within a read."""
        _log.warning("kafka: %s", error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._kafka_away.set()

    def _look_for_kafka(self) -> None:
        try:
            self._consumer.list_topics(self._topic, timeout=HEARTBEAT_SECONDS)
        except KafkaException:
            return  # still away, as was said
        self._kafka_away.clear()

    def _report(self, state: str) -> None:
        now = time.monotonic()
        if now < self._next_heartbeat:
            return
        self._next_heartbeat = now + HEARTBEAT_SECONDS
        if self._kafka_away.is_set():
            state = WAITING
            self._look_for_kafka()
        try:
            self._events.report_heartbeat(Heartbeat(state, self._records, self._rejected))
        except DependencyUnavailable as error:
            _log.warning("%s; no heartbeat", error)


def _place(message: Message) -> tuple[str, int, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise AssertionError("a record without an error has a place")
    return topic, partition, offset
