"""The partitions that are ours: where the ledger says that each is, and how far each is committed."""

import logging
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Message, TopicPartition

from app.errors import DependencyUnavailable
from app.events.ledger import Ledger, Move, Offset, Partition
from consumers.checkpoint import Checkpoints
from consumers.kafka import place, source_name
from consumers.metrics import timed

COMMIT_SECONDS = 0.2  # between commits: what is committed is only where to look first after a restart
ANSWER_SECONDS = 5.0  # of a broker that is asked

_log = logging.getLogger(__name__)


class Partitions:
    """Of one consumer and its topic. Not thread-safe."""

    def __init__(self, consumer: Consumer, topic: str, group: str, ledger: Ledger, checkpoints: Checkpoints) -> None:
        self._consumer = consumer
        self._topic = topic
        self._group = group
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._committed: dict[Partition, Offset] = {}
        self._next_commit = 0.0
        self.source = ""
        self.positions: dict[Partition, Offset | None] = {}  # None: nothing was taken yet
        self.unknown: set[Partition] = set()  # those whose position is to be found before they are read on

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """These are ours now."""
        self.positions |= {each.partition: None for each in partitions}
        self.unknown |= {each.partition for each in partitions}

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
        self._checkpoints.moved(self.source)

    def find(self) -> None:
        """Learn from the ledger where the unknown ones are, and read on from there. Raises DependencyUnavailable."""
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS)
            self.source = source_name(metadata.cluster_id, self._group, self._topic)
            stored = self._ledger.positions(self.source)
            wanted = [TopicPartition(self._topic, partition) for partition in self.unknown]
            for committed in self._consumer.committed(wanted, timeout=ANSWER_SECONDS):
                self._begin(committed, stored.get(committed.partition))
        except KafkaException as error:
            raise DependencyUnavailable("kafka") from error
        self._checkpoints.moved(self.source)  # what was taken before may not have been committed

    def _begin(self, committed: TopicPartition, stored: Offset | None) -> None:
        """Read a partition on from its position, or from its beginning where there is none."""
        partition = committed.partition
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
        self._consumer.seek(TopicPartition(self._topic, partition, low if stored is None else max(stored, low)))
        self.positions[partition] = stored
        self.unknown.discard(partition)

    def commit(self) -> None:
        """Commit what is safe. What the broker does not take now, during a rebalance, is tried again."""
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        safe = self._checkpoints.safe(self.source)
        offsets = [
            TopicPartition(self._topic, partition, safe[partition])
            for partition in self.positions.keys() & safe.keys()
            if safe[partition] != self._committed.get(partition)
        ]
        if not offsets:
            return
        try:
            with timed("commit"):
                results = self._consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            _log.info("offsets not committed yet: %s", error)
            return
        self._committed |= {each.partition: each.offset for each in results if each.error is None}

    def commit_now(self) -> None:
        """Commit everything that was taken, unless a dependency is away: it is only looked at again then."""
        try:
            self._checkpoints.refresh(self.source)
        except DependencyUnavailable as error:
            _log.info("%s; the last offsets are not committed", error)
        self._next_commit = 0.0
        self.commit()
