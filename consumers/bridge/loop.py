"""The bridge: turns Kafka records into chunks, each recorded by a Celery task, and invalid records into dead letters.

One step, in an order that makes a crash at any point harmless:

1. read some records, decode and validate them;
2. hand them over to the ledger, atomically: the valid ones as a chunk, the others as dead letters, with the new positions;
3. send the chunk's task (a sweep sends lost ones again);
4. commit the offsets once the dead letters are delivered.

The positions in the ledger, not the committed offsets, determine what was taken. So each record is taken once, whichever bridge
reads it, and the bridge reads again what Redis loses in a crash. While Redis or Kafka is unavailable, the current step is
retried; partitions are paused and the bridge stays in its consumer group. See docs/decisions/0008.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event as Flag

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.bridge_heartbeats import BridgeState
from app.events.chunk import split
from app.events.fair_share import FairShare
from app.events.ledger import PositionConflict
from app.events.poison_guard import PoisonGuard
from app.events.positions import Offset, Partition
from consumers.bridge.backpressure import Backpressure
from consumers.bridge.commits import Commits
from consumers.bridge.hand_over import Enqueue, HandOver, Taken
from consumers.bridge.heartbeat import HeartbeatReporter
from consumers.bridge.kafka_outage import KafkaOutage
from consumers.bridge.partitions import Partitions
from consumers.bridge.validation import Validated, validate_records
from consumers.kafka.clients import leave_and_close, place, size
from consumers.metrics import CHUNK_RECORDS, HALTED, PAUSES, RECORDS, REJECTED, timed

RETRY_SECONDS = 1.0  # between attempts while a dependency is unavailable; each attempt has its own timeouts
BACKLOG_SECONDS = 0.05  # between checks of the backlog while reading is paused
BRIDGE = "bridge"  # the part that reports an outage: see app/outage.py

_log = logging.getLogger(__name__)


class Bridge:
    """Reads the events topic until it is stopped. Not thread-safe, except ``stop``."""

    def __init__(
        self,
        *,
        connect: Callable[[Callable[[KafkaError], None]], Consumer],
        engine: Engine,
        enqueue: Enqueue,
    ) -> None:
        settings = engine.settings
        self._engine = engine
        self._settings = settings
        self._topic = settings.events_topic
        self._enqueue = enqueue
        self._connect = connect
        self._kafka = KafkaOutage(engine.outages, self._topic)
        self._open()
        self._hand_over = HandOver(engine)
        self._fair_share = FairShare(settings.tenant_events_per_second)
        self._guard = PoisonGuard(settings.poison_share, settings.poison_records)
        self._heartbeat = HeartbeatReporter(engine)
        self._backpressure = Backpressure(settings, lambda: self._heartbeat.is_full)
        self._stopped = Flag()

    def run(self) -> None:
        """Bridge records until ``stop`` is called, then commit, leave the group and return."""
        self._subscribe()
        try:
            while not self._stopped.is_set():
                self.step()
            self._commits.commit_now()
        finally:
            leave_and_close(self._consumer)
            self._heartbeat.stop()

    def stop(self) -> None:
        """Finish the current step, then stop. May be called from a signal handler."""
        self._stopped.set()

    def step(self) -> int:
        """Read one batch, validate it and hand it over. Returns the number of records read."""
        self._report()
        if self._partitions.unknown and not self._retry(self._partitions.find):
            return 0
        if self._partitions.is_obsolete:
            self._reconnect()
            return 0
        with timed("read"):
            messages, ends = self._read()
        if not self._retry(self._partitions.verify):  # after reading, so that it covers all records read
            return 0
        *groups, last = list(split(messages, size)) or [[]]
        if all(self._take(some, {}) for some in groups):
            self._take(last, ends)
        self._commits.commit()
        return len(messages)

    def _open(self) -> None:
        self._consumer = self._connect(self._kafka.record)
        self._partitions = Partitions(self._consumer, self._engine)
        self._commits = Commits(self._consumer, self._topic, self._partitions, self._engine.ledger)

    def _subscribe(self) -> None:
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def _reconnect(self) -> None:
        """Read a recreated topic with a new consumer.

        The old consumer would read nothing: librdkafka caches the old topic's leader epochs, which are above the new topic's.
        """
        leave_and_close(self._consumer)
        self._heartbeat.state = BridgeState.JOINING
        self._open()
        self._subscribe()

    def _read(self) -> tuple[list[Message], dict[Partition, Offset]]:
        """Read some records, and the end offsets of the partitions that were read to their end."""
        messages: list[Message] = []
        ends: dict[Partition, Offset] = {}
        for message in self._consumer.consume(self._settings.chunk_events, self._settings.chunk_wait_seconds):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                _, partition, offset = place(message)
                ends[partition] = offset
            else:  # librdkafka retries by itself
                _log.warning("kafka: %s", error.str())
                self._partitions.verify_soon()
        RECORDS.inc(len(messages))
        return messages, ends

    def _take(self, read: Sequence[Message], ends: Mapping[Partition, Offset]) -> bool:
        """Hand records over and send their tasks. False if they must be read again, or the bridge was stopped."""
        messages = [each for each in read if self._partitions.is_next(each)]
        source, advances = self._partitions.source, self._partitions.advances(messages, ends)
        if not advances:
            return True
        with timed("sort"):
            found = validate_records(messages, self._topic, self._engine.clock())
        if self._guard.trips(*found.counts(self._partitions.admitted)):
            self._halt(found)
            self._partitions.rewind()  # partitions may have been rebalanced meanwhile: read the records again
            return False
        bulk_tenants = self._fair_share.exceeded_by(Counter(found.tenants), time.monotonic())
        taken: Taken | None = None

        def accept() -> None:
            nonlocal taken
            with timed("accept"):
                taken = self._hand_over.take(found, source, self._partitions.topic_id, advances, bulk_tenants)

        try:
            if not self._retry(accept) or taken is None:
                return False
        except PositionConflict as error:
            _log.warning("%s; reading on from the ledger's position", error)
            self._partitions.rewind()
            return False
        self._partitions.advanced(advances)
        self._guard.took(*found.counts(self._partitions.admitted))
        self._heartbeat.count(len(messages), taken.letters)
        REJECTED.inc(taken.letters)
        if not self._send(taken):
            return False
        return self._hold() if self._backpressure.must_hold(taken.accepted.depths) else True

    def _send(self, taken: Taken) -> bool:
        """Send the chunks' tasks. False if the bridge was stopped before; a sweep then sends the rest."""
        accepted = taken.accepted
        lanes = ((accepted.chunk_id, taken.events, False), (accepted.bulk_id, taken.bulk_events, True))
        for chunk_id, events, in_bulk in lanes:
            if chunk_id is None:
                continue
            CHUNK_RECORDS.observe(events)
            with timed("enqueue"):
                if not self._retry(partial(self._enqueue, [chunk_id], in_bulk=in_bulk)):
                    return False
        return True

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._heartbeat.state = BridgeState.RUNNING
        self._partitions.add(partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit the taken positions while the partitions are still assigned, then give them up."""
        self._commits.commit_now()
        self._lost(consumer, partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._partitions.remove(partitions)
        self._commits.forget({each.partition for each in partitions})

    def _retry(self, action: Callable[[], None]) -> bool:
        """Repeat an action until its dependency is available. False if the bridge was stopped before."""
        if self._attempt(action):
            return True
        with self._paused("dependency"):
            while not self._stopped.is_set():
                self._wait(RETRY_SECONDS, BridgeState.WAITING)
                if self._attempt(action):
                    return True
        return False

    def _attempt(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except DependencyUnavailable as error:
            self._engine.outages.gone(error, BRIDGE)
            return False
        self._engine.outages.back(BRIDGE)
        return True

    def _hold(self) -> bool:
        """Pause reading until the workers and the relay have caught up. False if the bridge was stopped before."""
        with self._paused("backlog"):
            while not self._stopped.is_set():
                self._wait(BACKLOG_SECONDS, BridgeState.RUNNING)
                self._commits.commit()
                try:
                    depths = self._engine.ledger.depths()
                except DependencyUnavailable as error:
                    self._engine.outages.gone(error, BRIDGE)
                    continue
                if self._backpressure.may_go_on(depths):
                    return True
        return False

    def _halt(self, found: Validated) -> None:
        """Pause until an operator admits these records, their topic is recreated, or the bridge is stopped."""
        read, invalid = found.counts(self._partitions.admitted)
        _log.error(
            "halted: too many of the latest records are invalid, among them %d of the last %d; none of these was taken. "
            "To dead-letter them: mastery bridge resume",
            invalid,
            read,
        )
        HALTED.set(1)
        try:
            with self._paused("poison"):
                while not self._stopped.is_set():
                    self._wait(RETRY_SECONDS, BridgeState.HALTED)
                    if self._may_go_on(found):
                        self._guard.forget()
                        return
        finally:
            HALTED.set(0)

    def _may_go_on(self, found: Validated) -> bool:
        """Whether an operator has admitted the invalid records to the dead letters, or their topic was recreated."""
        try:
            self._partitions.verify_soon()
            self._partitions.verify()
        except DependencyUnavailable as error:
            self._engine.outages.gone(error, BRIDGE)
            return False
        if self._partitions.is_another_topic():
            return True
        _, invalid = found.counts(self._partitions.admitted)
        if invalid == 0:
            _log.warning("resumed by an operator")
        return invalid == 0

    @contextmanager
    def _paused(self, reason: str) -> Iterator[None]:
        """Pause reading within the context, without leaving the consumer group."""
        PAUSES.labels(reason).inc()
        self._consumer.pause(self._consumer.assignment())
        try:
            yield
        finally:
            self._consumer.resume(self._consumer.assignment())
            self._partitions.verify_soon()

    def _wait(self, seconds: float, state: BridgeState) -> None:
        """Wait while polling, to stay in the consumer group; takes no records."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._stopped.is_set():
            self._report(state)
            message = self._consumer.poll(min(left, RETRY_SECONDS))
            if message is not None and message.error() is None:
                # The partition was assigned meanwhile and is not paused yet. It is read later, from its stored position.
                topic, partition, _ = place(message)
                self._consumer.pause([TopicPartition(topic, partition)])
                self._partitions.add([TopicPartition(topic, partition)])

    def _report(self, state: BridgeState | None = None) -> None:
        if self._heartbeat.is_due():
            self._heartbeat.report(BridgeState.WAITING if self._kafka.is_away else state)
            self._kafka.check(self._consumer)
