"""The partitions assigned to this bridge, and their positions in the ledger."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.ledger import OffsetAdvance
from app.events.positions import NO_ID, Offset, Partition, TopicId
from consumers.bridge.erasure_replay import ErasureReplay
from consumers.bridge.kafka_outage import partition_back, partition_gone
from consumers.bridge.take_up import TakeUp
from consumers.kafka.clients import place
from consumers.kafka.topic_ids import TopicIds

# Between checks of the topic's id and the ledger's positions; bounds how soon the bridge reads a recreated topic, or again what
# Redis lost.
VERIFY_SECONDS = 1.0
FIND_SECONDS = 5.0  # between retries when a broker does not answer

_log = logging.getLogger(__name__)


class Partitions:
    """The partitions of one consumer and its topic. Not thread-safe."""

    def __init__(self, consumer: Consumer, engine: Engine) -> None:
        self._consumer = consumer
        self._topic = engine.settings.events_topic
        self._progress = engine.positions
        self._outages = engine.outages
        self._ids = TopicIds(engine.settings)
        self._take_up = TakeUp(consumer, engine, self._ids)
        self._erasures = ErasureReplay(engine)
        self._next_find = self._next_verify = self._next_ask = 0.0
        self.is_obsolete = False  # the topic was recreated: only a new consumer can read it
        self.source = ""
        self.topic_id: TopicId = NO_ID
        self.positions: dict[Partition, Offset | None] = {}  # None: not found yet
        self.unknown: set[Partition] = set()  # their position must be looked up before they are read
        self.admitted: Mapping[Partition, Offset] = {}  # below these, invalid records are admitted to the dead letters

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """Add assigned partitions."""
        self.positions |= {each.partition: None for each in partitions}
        self.unknown |= {each.partition for each in partitions}
        self._next_find = 0.0

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """Remove revoked or lost partitions. Their next bridge finds their positions in the ledger."""
        for each in partitions:
            self.positions.pop(each.partition, None)
            self.unknown.discard(each.partition)
            partition_back(self._outages, each.partition)

    def is_next(self, message: Message) -> bool:
        """Whether the record is from an assigned partition with a known position, and was not taken before."""
        _, partition, offset = place(message)
        if partition not in self.positions:
            return False
        if offset < (self.positions[partition] or 0):  # the log was truncated
            self.unknown.add(partition)
        return partition not in self.unknown

    def advances(self, messages: Sequence[Message], ends: Mapping[Partition, Offset]) -> dict[Partition, OffsetAdvance]:
        """How taking these records advances the positions.

        Args:
            messages: records in the order read.
            ends: end offsets of the partitions that were read to their end. An end may be beyond the last record, after
                transaction markers and aborted or compacted records.

        Returns:
            The advance of each partition that moves.
        """
        reached = {partition: offset + 1 for _, partition, offset in map(place, messages)}
        for partition, end in ends.items():
            before = self.positions.get(partition)
            if before is not None and partition not in self.unknown and end > reached.get(partition, before):
                reached[partition] = end
        return {partition: OffsetAdvance(self.positions[partition], end) for partition, end in reached.items()}

    def advanced(self, advances: Mapping[Partition, OffsetAdvance]) -> None:
        """Move the positions after the ledger has taken the records."""
        for partition in advances.keys() & self.positions.keys():  # some may have been revoked meanwhile
            self.positions[partition] = advances[partition].after

    def find(self) -> None:
        """Look up the unknown positions in the ledger and seek to them.

        A partition whose broker does not answer stays unknown and is retried later; the others are read. Propagates
        DependencyUnavailable when the topic's metadata or Redis is unavailable.
        """
        if not self.unknown or time.monotonic() < self._next_find:
            return
        if self.source and self.is_another_topic():
            self.is_obsolete = True
            return
        self._erasures.catch_up()  # first: Redis may have lost erasures, and the events that they refuse are read now
        was_read = any(position is not None for position in self.positions.values())
        found = self._take_up.take_up(self.unknown, was_read=was_read)
        if self.source and self.topic_id != found.topic_id:  # it was recreated meanwhile
            self.is_obsolete = True
            return
        self.source, self.topic_id = found.source, found.topic_id
        for partition, position in found.positions.items():
            try:
                self._begin(partition, position, is_committed=partition not in found.uncommitted)
            except KafkaException as error:
                partition_gone(self._outages, partition, error)
            else:
                partition_back(self._outages, partition)
        if self.unknown:
            self._next_find = time.monotonic() + FIND_SECONDS
        self.verify_soon()

    def _begin(self, partition: Partition, position: Offset, *, is_committed: bool) -> None:
        here = TopicPartition(self._topic, partition, position)
        if not is_committed:  # a committed offset shows from now on that the topic was read
            self._consumer.commit(offsets=[here], asynchronous=False)
        self._consumer.seek(here)
        self._consumer.resume([here])  # a partition revoked while paused is still paused when it is assigned again
        self.positions[partition] = position
        self.unknown.discard(partition)

    def verify(self) -> None:
        """Look positions up again that differ from the ledger's, as after a crash of Redis, or all if the topic was recreated.

        Without this check, a difference would show only at the partition's next record, and a recreated topic not at all.
        Propagates DependencyUnavailable.
        """
        if not self.source or time.monotonic() < self._next_verify:
            return
        progress = self._progress.of(self.source)
        self._next_verify = time.monotonic() + VERIFY_SECONDS
        self.admitted = progress.admitted
        if self.is_another_topic():
            self.rewind()
            return
        is_same = progress.topic_id == self.topic_id
        moved = {
            number for number, position in self.positions.items() if not is_same or progress.offsets.get(number) != position
        } - self.unknown
        if moved:
            _log.warning("the ledger's positions of partitions %s have changed; reading on from there", sorted(moved))
            self.unknown |= moved
        else:
            self._erasures.follow()

    def is_another_topic(self) -> bool:
        """Whether the topic was recreated. False while the brokers do not answer; the check is then retried."""
        if time.monotonic() < self._next_ask:
            return False
        try:
            found = self._ids.of(self._topic)
        except DependencyUnavailable as error:
            _log.info("%s; retrying the check whether the topic was recreated", error)
            self._next_ask = time.monotonic() + FIND_SECONDS
            return False
        return found not in {None, self.topic_id}

    def verify_soon(self) -> None:
        """Verify at the next step: during a pause the topic may have been recreated and have grown past the old position."""
        self._next_verify = 0.0

    def rewind(self) -> None:
        """Look up the positions of all partitions again."""
        self.unknown |= set(self.positions)
        self._next_find = 0.0
