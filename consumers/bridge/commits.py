"""Commits offsets to Kafka. Operators see them, and the bridge knows from them that the topic was read before."""

import logging
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from app.errors import DependencyUnavailable
from app.events.ledger import Ledger
from app.events.positions import Offset, Partition, TopicId
from consumers.bridge.partitions import Partitions
from consumers.metrics import timed

COMMIT_SECONDS = 0.2  # between commits; the offsets are not used while Redis has its state
DELIVERY_SECONDS = 2.0  # for the relay to deliver dead letters before partitions are revoked
POLL_SECONDS = 0.05

_log = logging.getLogger(__name__)


class Commits:
    """The commits of one consumer. Not thread-safe."""

    def __init__(self, consumer: Consumer, topic: str, partitions: Partitions, ledger: Ledger) -> None:
        self._consumer = consumer
        self._topic = topic
        self._partitions = partitions
        self._ledger = ledger
        self._committed: dict[Partition, Offset] = {}
        # Positions to commit once the dead letter with this entry id is delivered.
        self._due: tuple[TopicId, dict[Partition, Offset], str | None] | None = None
        self._next = 0.0

    def forget(self, partitions: set[Partition]) -> None:
        """Forget partitions that were revoked or lost."""
        for partition in partitions:
            self._committed.pop(partition, None)

    def commit(self) -> None:
        """Commit the taken positions once their dead letters are delivered. Errors are retried at the next call."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + COMMIT_SECONDS
        try:
            self._commit_delivered()
        except (KafkaException, DependencyUnavailable) as error:
            _log.debug("offsets not committed yet: %s", error)  # a rebalance, or an outage that is logged elsewhere

    def commit_now(self) -> None:
        """Commit all taken positions, waiting up to ``DELIVERY_SECONDS`` for their dead letters."""
        deadline = time.monotonic() + DELIVERY_SECONDS
        for _ in range(2):  # the positions already due, then the rest
            self._next = 0.0
            self.commit()
            while self._due is not None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                self._next = 0.0
                self.commit()

    def _commit_delivered(self) -> None:
        positions, unknown = self._partitions.positions, self._partitions.unknown
        if self._due is None:
            taken = {number: offset for number, offset in positions.items() if offset is not None and number not in unknown}
            if all(self._committed.get(partition) == offset for partition, offset in taken.items()):
                return
            self._due = self._partitions.topic_id, taken, self._ledger.last_letter()
        topic_id, due, letter = self._due
        if letter is not None and self._ledger.letters_wait(letter):
            return
        offsets = [
            TopicPartition(self._topic, partition, offset)
            for partition, offset in due.items()
            if topic_id == self._partitions.topic_id  # the topic may have been recreated meanwhile
            and partition in positions
            and partition not in unknown
            and self._committed.get(partition) != offset
        ]
        if offsets:
            with timed("commit"):
                results = self._consumer.commit(offsets=offsets, asynchronous=False) or []
            self._committed |= {each.partition: each.offset for each in results if each.error is None}
        self._due = None
