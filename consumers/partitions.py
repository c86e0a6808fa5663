"""The partitions that are ours: where the ledger says that each is, and how far each is committed."""

import logging
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Message, TopicPartition

from app.errors import DependencyUnavailable
from app.events.ledger import Ledger, Move, Offset, Partition
from consumers.kafka import place, source_name
from consumers.metrics import timed

VERIFY_SECONDS = 1.0  # between looks whether the ledger still is where we left it; what Redis lost is read again that soon
COMMIT_SECONDS = 0.2  # between commits: what is committed is only where to look first after a restart
DELIVERY_SECONDS = 2.0  # for the relay to deliver what waits, before partitions are given up
POLL_SECONDS = 0.05
ANSWER_SECONDS = 2.0  # of a broker that is asked
FIND_SECONDS = 5.0  # until a partition is tried again whose broker does not answer

_log = logging.getLogger(__name__)


class Partitions:
    """Of one consumer and its topic. Not thread-safe."""

    def __init__(self, consumer: Consumer, topic: str, group: str, ledger: Ledger) -> None:
        self._consumer = consumer
        self._topic = topic
        self._group = group
        self._ledger = ledger
        self._committed: dict[Partition, Offset] = {}
        # Positions that are to be committed, once the dead letter with this id is delivered.
        self._due: tuple[dict[Partition, Offset], str | None] | None = None
        self._next_commit = self._next_find = self._next_verify = 0.0
        self.source = ""
        self.positions: dict[Partition, Offset | None] = {}  # None: nothing was taken yet
        self.unknown: set[Partition] = set()  # those whose position is to be found before they are read on

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """These are ours now."""
        self.positions |= {each.partition: None for each in partitions}
        self.unknown |= {each.partition for each in partitions}
        self._next_find = 0.0

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """These are another's now: it learns from the ledger what was taken."""
        for each in partitions:
            self.positions.pop(each.partition, None)
            self._committed.pop(each.partition, None)
            self.unknown.discard(each.partition)

    def is_next(self, message: Message) -> bool:
        """Whether the record is of a partition that is ours, and was not taken before."""
        _, partition, offset = place(message)
        if partition not in self.positions:
            return False
        if offset < (self.positions[partition] or 0):  # the topic is shorter than it was
            self.unknown.add(partition)
        return partition not in self.unknown

    def moves(self, messages: Sequence[Message]) -> dict[Partition, Move]:
        """How taking these records moves the positions."""
        ends = {partition: offset + 1 for _, partition, offset in map(place, messages)}
        return {partition: Move(self.positions[partition], end) for partition, end in ends.items()}

    def moved(self, moves: dict[Partition, Move]) -> None:
        """The ledger took the records."""
        for partition in moves.keys() & self.positions.keys():  # some may have gone to another bridge meanwhile
            self.positions[partition] = moves[partition].after

    def find(self) -> None:
        """Learn from the ledger where the unknown ones are, and read on from there.

        One whose broker is away stays unknown for a while; the others go on. Raises DependencyUnavailable when none can.
        """
        if time.monotonic() < self._next_find:
            return
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS)
            wanted = [TopicPartition(self._topic, partition) for partition in self.unknown]
            committed = self._consumer.committed(wanted, timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise DependencyUnavailable("kafka") from error
        self.source = source_name(metadata.cluster_id, self._group, self._topic)
        stored = self._ledger.positions(self.source)
        for each in committed:
            try:
                self._begin(each, stored.get(each.partition))
            except KafkaException as error:
                _log.warning("partition %d cannot be read yet: %s", each.partition, error)
                self._next_find = time.monotonic() + FIND_SECONDS

    def _begin(self, committed: TopicPartition, stored: Offset | None) -> None:
        """Read a partition on from its position, or from its beginning where there is none."""
        partition = committed.partition
        if committed.error is not None:
            raise KafkaException(committed.error)
        low, high = self._consumer.get_watermark_offsets(committed, timeout=ANSWER_SECONDS)
        if stored is not None and (committed.offset == OFFSET_INVALID or stored > high):
            # A topic that was made anew has no committed offsets: what is stored is of the former one.
            _log.warning("partition %d begins anew: its position %d is of a topic that is gone", partition, stored)
            self._ledger.forget(self.source, partition)
            stored = None
        if committed.offset == OFFSET_INVALID:  # from now on the topic is known
            self._consumer.commit(offsets=[TopicPartition(self._topic, partition, low)], asynchronous=False)
        if stored is not None and stored < low:
            _log.error("partition %d: records %d to %d are gone from Kafka, and were never taken", partition, stored, low - 1)
        here = TopicPartition(self._topic, partition, low if stored is None else max(stored, low))
        self._consumer.seek(here)
        self._consumer.resume([here])  # one that was given away while it was paused comes back paused
        self.positions[partition] = stored
        self.unknown.discard(partition)

    def commit(self) -> None:
        """Commit what was taken, once the dead letters of it are delivered.

        What the broker does not take now, during a rebalance, is tried again, and so is everything when Redis is away.
        """
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        try:
            self._commit_delivered()
        except (KafkaException, DependencyUnavailable) as error:
            _log.info("offsets not committed yet: %s", error)

    def _commit_delivered(self) -> None:
        if self._due is None:
            taken = {
                number: offset for number, offset in self.positions.items() if offset is not None and number not in self.unknown
            }
            if all(self._committed.get(partition) == offset for partition, offset in taken.items()):
                return
            self._due = taken, self._ledger.last_letter()
        positions, letter = self._due
        if letter is not None and self._ledger.letters_wait(letter):
            return
        offsets = [
            TopicPartition(self._topic, partition, offset)
            for partition, offset in positions.items()
            if partition in self.positions and self._committed.get(partition) != offset
        ]
        if offsets:
            with timed("commit"):
                results = self._consumer.commit(offsets=offsets, asynchronous=False) or []
            self._committed |= {each.partition: each.offset for each in results if each.error is None}
        self._due = None

    def commit_now(self) -> None:
        """Commit everything that was taken, if its dead letters are delivered within a moment; else it is looked at again."""
        deadline = time.monotonic() + DELIVERY_SECONDS
        for _ in range(2):  # what is due already, then the rest
            self._next_commit = 0.0
            self.commit()
            while self._due is not None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                self._next_commit = 0.0
                self.commit()

    def verify(self) -> None:
        """Find out anew where those are that the ledger has elsewhere: a crash of Redis may have taken them back.

        The next record of a partition would show it too; but there may be none for a long time. Raises DependencyUnavailable.
        """
        if time.monotonic() < self._next_verify:
            return
        stored = self._ledger.positions(self.source)
        self._next_verify = time.monotonic() + VERIFY_SECONDS
        elsewhere = {number for number, position in self.positions.items() if stored.get(number) != position} - self.unknown
        if elsewhere:
            _log.warning("partitions %s are not where they were left; reading on from where the ledger says", sorted(elsewhere))
            self.unknown |= elsewhere

    def rewind(self) -> None:
        """Find out anew where all of them are."""
        self.unknown |= set(self.positions)
        self._next_find = 0.0
