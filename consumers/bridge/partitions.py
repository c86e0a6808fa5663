"""The partitions that are ours, and where the ledger says that each is."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.ledger import OffsetAdvance
from app.events.positions import NO_ID, Offset, Partition, TopicId
from consumers.bridge.kafka_outage import partition_back, partition_gone
from consumers.bridge.take_up import TakeUp
from consumers.kafka.clients import place
from consumers.kafka.topic_ids import TopicIds

# Between looks whether topic and ledger still are what and where we left them: so soon a topic that was made anew, and what
# Redis lost, are read again.
VERIFY_SECONDS = 1.0
FIND_SECONDS = 5.0  # until a broker is asked again that did not answer

_log = logging.getLogger(__name__)


class Partitions:
    """Of one consumer and its topic. Not thread-safe."""

    def __init__(self, consumer: Consumer, engine: Engine) -> None:
        self._consumer = consumer
        self._topic = engine.settings.events_topic
        self._progress = engine.positions
        self._outages = engine.outages
        self._ids = TopicIds(engine.settings)
        self._take_up = TakeUp(consumer, engine, self._ids)
        self._next_find = self._next_verify = self._next_ask = 0.0
        self.is_obsolete = False  # the topic was made anew since the consumer began: another consumer has to read it
        self.source = ""
        self.topic_id: TopicId = NO_ID
        self.positions: dict[Partition, Offset | None] = {}  # None: not found yet
        self.unknown: set[Partition] = set()  # those whose position is to be found before they are read on
        self.admitted: Mapping[Partition, Offset] = {}  # below these, invalid records are admitted to the dead letters

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """These are ours now."""
        self.positions |= {each.partition: None for each in partitions}
        self.unknown |= {each.partition for each in partitions}
        self._next_find = 0.0

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """These are another's now: it learns from the ledger what was taken."""
        for each in partitions:
            self.positions.pop(each.partition, None)
            self.unknown.discard(each.partition)
            partition_back(self._outages, each.partition)

    def is_next(self, message: Message) -> bool:
        """Whether the record is of a partition that is ours, and was not taken before."""
        _, partition, offset = place(message)
        if partition not in self.positions:
            return False
        if offset < (self.positions[partition] or 0):  # the topic is shorter than it was
            self.unknown.add(partition)
        return partition not in self.unknown

    def advances(self, messages: Sequence[Message], ends: Mapping[Partition, Offset]) -> dict[Partition, OffsetAdvance]:
        """How taking these records moves the positions. ``ends`` are of partitions that were read to their end.

        Before it may be what is no record: markers of transactions, those that were aborted, or what was compacted away.
        """
        reached = {partition: offset + 1 for _, partition, offset in map(place, messages)}
        for partition, end in ends.items():
            before = self.positions.get(partition)
            if before is not None and partition not in self.unknown and end > reached.get(partition, before):
                reached[partition] = end
        return {partition: OffsetAdvance(self.positions[partition], end) for partition, end in reached.items()}

    def advanced(self, advances: Mapping[Partition, OffsetAdvance]) -> None:
        """The ledger took the records."""
        for partition in advances.keys() & self.positions.keys():  # some may have gone to another bridge meanwhile
            self.positions[partition] = advances[partition].after

    def find(self) -> None:
        """Learn from the ledger where the unknown ones are, and read on from there.

        One whose broker is away stays unknown for a while; the others go on. Raises DependencyUnavailable when none can.
        """
        if not self.unknown or time.monotonic() < self._next_find:
            return
        if self.source and self.is_another_topic():
            self.is_obsolete = True
            return
        was_read = any(position is not None for position in self.positions.values())
        found = self._take_up.take_up(self.unknown, was_read=was_read)
        if self.source and self.topic_id != found.topic_id:  # it was made anew at this very moment
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
        self.look_again()

    def _begin(self, partition: Partition, position: Offset, *, is_committed: bool) -> None:
        here = TopicPartition(self._topic, partition, position)
        if not is_committed:  # from now on Kafka knows that the topic is read
            self._consumer.commit(offsets=[here], asynchronous=False)
        self._consumer.seek(here)
        self._consumer.resume([here])  # one that was given away while it was paused comes back paused
        self.positions[partition] = position
        self.unknown.discard(partition)

    def verify(self) -> None:
        """Find out anew where those are that the ledger has elsewhere: a crash of Redis may have taken them back.

        The next record of a partition would show it too; but there may be none for a long time. What no record shows is that
        the topic is another one of the same name. Raises DependencyUnavailable.
        """
        if not self.source or time.monotonic() < self._next_verify:
            return
        progress = self._progress.of(self.source)
        self._next_verify = time.monotonic() + VERIFY_SECONDS
        self.admitted = progress.admitted
        if self.is_another_topic():
            self.rewind()
            return
        is_noted = progress.topic_id == self.topic_id
        elsewhere = {
            number for number, position in self.positions.items() if not is_noted or progress.offsets.get(number) != position
        } - self.unknown
        if elsewhere:
            _log.warning("partitions %s are not where they were left; reading on from where the ledger says", sorted(elsewhere))
            self.unknown |= elsewhere

    def is_another_topic(self) -> bool:
        """Whether the topic was made anew since. False while the brokers cannot say; they are asked again."""
        if time.monotonic() < self._next_ask:
            return False
        try:
            found = self._ids.of(self._topic)
        except DependencyUnavailable as error:
            _log.info("%s; whether the topic is still the same is asked again", error)
            self._next_ask = time.monotonic() + FIND_SECONDS
            return False
        return found not in {None, self.topic_id}

    def look_again(self) -> None:
        """Verify at the next occasion: while nothing was fetched, the topic may have been made anew and have grown."""
        self._next_verify = 0.0

    def rewind(self) -> None:
        """Find out anew where all of them are."""
        self.unknown |= set(self.positions)
        self._next_find = 0.0
