"""The bridge: records from Kafka become chunks, each recorded by a Celery task; what can be no event becomes a dead letter.

One step of it, in the order that makes a crash at any point harmless:

1. read some records, and decode and validate every one of them;
2. hand them over to the ledger, all at once: the valid ones as a chunk, the others as dead letters, with the new positions;
3. send the task of the chunk; a lost one is sent again by a sweep;
4. commit the offsets, once the dead letters are delivered.

The positions in the ledger say what was taken, not the committed offsets. So each record is taken once, whichever bridge reads
it; and when Redis loses what it was told last, the bridge reads that again. While Redis or Kafka is away the step in hand is
repeated until it succeeds; partitions are paused meanwhile, and the membership in the group is kept. See docs/decisions/0008.
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
from app.events.bridges import BridgeState
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
from consumers.kafka.clients import place, size
from consumers.metrics import CHUNK_RECORDS, HALTED, PAUSES, RECORDS, REJECTED, timed

RETRY_SECONDS = 1.0  # between attempts while a dependency is away; each attempt has its own timeouts
BACKLOG_SECONDS = 0.05  # between looks at the backlog while it is worked off
BRIDGE = "bridge"  # who misses what: see app/outage.py

_log = logging.getLogger(__name__)


class Bridge:
    """Reads the events topic until it is stopped. Not thread-safe, but for ``stop``: one bridge, one thread."""

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
            self._consumer.close()
            self._heartbeat.stop()

    def stop(self) -> None:
        """Finish the step in hand, then stop. May be called from a signal handler."""
        self._stopped.set()

    def step(self) -> int:
        """Read, validate and hand over one read. Returns the number of records read."""
        self._report()
        if self._partitions.unknown and not self._insist(self._partitions.find):
            return 0
        if self._partitions.is_obsolete:
            self._reconnect()
            return 0
        with timed("read"):
            messages, ends = self._read()
        if not self._insist(self._partitions.verify):  # afterwards: what it finds holds for all that was read
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
        """Read the topic that was made anew with a new consumer.

        librdkafka's keeps the leader epochs of the previous one, which are above those of the new one, and would read nothing.
        """
        self._consumer.close()
        self._heartbeat.state = BridgeState.JOINING
        self._open()
        self._subscribe()

    def _read(self) -> tuple[list[Message], dict[Partition, Offset]]:
        """Some records, and where the partitions end that were read to their end."""
        messages: list[Message] = []
        ends: dict[Partition, Offset] = {}
        for message in self._consumer.consume(self._settings.chunk_events, self._settings.chunk_wait_seconds):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                _, partition, offset = place(message)
                ends[partition] = offset
            else:  # what librdkafka reports here it also retries; nothing is lost
                _log.warning("kafka: %s", error.str())
                self._partitions.look_again()
        RECORDS.inc(len(messages))
        return messages, ends

    def _take(self, read: Sequence[Message], ends: Mapping[Partition, Offset]) -> bool:
        """Hand records over to the ledger and send the task. False if they are to be read again, or the bridge was stopped."""
        messages = [each for each in read if self._partitions.is_next(each)]
        source, advances = self._partitions.source, self._partitions.advances(messages, ends)
        if not advances:
            return True
        with timed("sort"):
            found = validate_records(messages, self._topic, self._engine.clock())
        if self._guard.trips(*found.counts(self._partitions.admitted)):
            self._halt(found)
            self._partitions.rewind()  # meanwhile partitions may have come and gone: the records are read again
            return False
        bulk_tenants = self._fair_share.exceeded_by(Counter(found.tenants), time.monotonic())
        taken: Taken | None = None

        def accept() -> None:
            nonlocal taken
            with timed("accept"):
                taken = self._hand_over.take(found, source, self._partitions.topic_id, advances, bulk_tenants)

        try:
            if not self._insist(accept) or taken is None:
                return False
        except PositionConflict as error:
            _log.warning("%s; reading on from where the ledger says", error)
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
        """Send the tasks of the chunks. False if the bridge was stopped before; what was not sent is sent by a sweep."""
        accepted = taken.accepted
        lanes = ((accepted.chunk_id, taken.events, False), (accepted.bulk_id, taken.bulk_events, True))
        for chunk_id, events, in_bulk in lanes:
            if chunk_id is None:
                continue
            CHUNK_RECORDS.observe(events)
            with timed("enqueue"):
                if not self._insist(partial(self._enqueue, [chunk_id], in_bulk=in_bulk)):
                    return False
        return True

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._heartbeat.state = BridgeState.RUNNING
        self._partitions.add(partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions go to another bridge: commit what was taken of them while they are still ours."""
        self._commits.commit_now()
        self._lost(consumer, partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._partitions.remove(partitions)
        self._commits.forget({each.partition for each in partitions})

    def _insist(self, action: Callable[[], None]) -> bool:
        """Repeat an action until its dependency answers. False if the bridge was stopped before it did."""
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
        """Read nothing until the workers and the relay have caught up. False if the bridge was stopped before."""
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
        """Take nothing more until an operator lets these records pass, or they are gone, or the bridge is stopped."""
        read, invalid = found.counts(self._partitions.admitted)
        _log.error(
            "halted: too many of the latest records are invalid, as are %d of the last %d, none of which was taken. "
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
        """Whether an operator has admitted the invalid records to the dead letters, or their topic was made anew."""
        try:
            self._partitions.look_again()
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
        """Read nothing, and keep the membership in the group, while the context lasts."""
        PAUSES.labels(reason).inc()
        self._consumer.pause(self._consumer.assignment())
        try:
            yield
        finally:
            self._consumer.resume(self._consumer.assignment())
            self._partitions.look_again()

    def _wait(self, seconds: float, state: BridgeState) -> None:
        """Keep the membership in the group for a while, without taking anything."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._stopped.is_set():
            self._report(state)
            message = self._consumer.poll(min(left, RETRY_SECONDS))
            if message is not None and message.error() is None:
                # Of a partition assigned meanwhile, which is not paused yet: it is read on from its position later.
                topic, partition, _ = place(message)
                self._consumer.pause([TopicPartition(topic, partition)])
                self._partitions.add([TopicPartition(topic, partition)])

    def _report(self, state: BridgeState | None = None) -> None:
        if self._heartbeat.is_due():
            self._heartbeat.report(BridgeState.WAITING if self._kafka.is_away else state)
            self._kafka.look(self._consumer)
