"""Takes up assigned partitions: determines the topic's id and each start position, and stores in Redis what is new or lost."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from confluent_kafka import OFFSET_END, OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.losses import ALSO_GONE
from app.events.positions import NO_ID, Beginning, Offset, Partition, Start, TopicId
from consumers.bridge.kafka_outage import partition_gone
from consumers.bridge.start_offsets import Found, Place, place_of
from consumers.kafka.clients import source_name
from consumers.kafka.record_reader import Bounds
from consumers.kafka.topic_ids import TopicIds

METADATA_SECONDS = 2.0  # timeout of each request to a broker

_log = logging.getLogger(__name__)


class TakenUp(NamedTuple):
    """The topic, and the start positions of its partitions, without those whose broker does not answer."""

    source: str
    topic_id: TopicId
    positions: dict[Partition, Offset]
    uncommitted: set[Partition]  # those for which the group has no committed offset


class Located(NamedTuple):
    """Where a partition is read from, and how many records are lost by starting there."""

    place: Place
    lost: int


class TakeUp:
    """Takes up partitions of one consumer and its topic. Raises DependencyUnavailable when Kafka or Redis does not answer."""

    def __init__(self, consumer: Consumer, engine: Engine, ids: TopicIds) -> None:
        self._consumer = consumer
        self._engine = engine
        self._ids = ids
        self._topic = engine.settings.events_topic

    def take_up(self, partitions: Iterable[Partition], *, was_read: bool) -> TakenUp:
        """Take up these partitions. ``was_read``: this bridge has read the topic before."""
        topic_id = self._ids.existing(self._topic)
        try:
            source, committed = self._committed()
        except KafkaException as error:
            raise DependencyUnavailable("kafka") from error
        found = self._found(source, topic_id, was_read=was_read or any(committed.values()))
        located = dict(self._locate(found, partitions, committed))
        self._store(source, found, located)
        self._log_start(found, located)
        uncommitted = {partition for partition in located if committed.get(partition) is None}
        if found.is_identified and any(found.stored(partition) is not None for partition in uncommitted):
            _log.info("the group's committed offsets have expired; read on from the positions in Redis")
        return TakenUp(source, topic_id, {partition: each.place.position for partition, each in located.items()}, uncommitted)

    def _found(self, source: str, topic_id: TopicId, *, was_read: bool) -> Found:
        progress = self._engine.positions.of(source)
        has_state = progress.is_known or self._engine.ledger.counts().records > 0
        return Found(topic_id, progress, was_read=was_read, has_state=has_state)

    def _locate(
        self, found: Found, partitions: Iterable[Partition], committed: Mapping[Partition, Offset | None]
    ) -> Iterator[tuple[Partition, Located]]:
        for partition in sorted(partitions):
            try:
                bounds = Bounds(*self._consumer.get_watermark_offsets(self._at(partition), timeout=METADATA_SECONDS))
                where = place_of(found, found.stored(partition), bounds, is_committed=committed.get(partition) is not None)
                yield partition, Located(where, self._lost(partition, where, bounds, found.topic_id))
            except KafkaException as error:
                partition_gone(self._engine.outages, partition, error)

    def _committed(self) -> tuple[str, dict[Partition, Offset | None]]:
        """The source, and the group's committed offset of each partition of the topic (None: no offset)."""
        metadata = self._consumer.list_topics(self._topic, timeout=METADATA_SECONDS)
        topic = metadata.topics[self._topic]
        if topic.error is not None:  # without its partitions, lost state would look like a topic that was never read
            raise KafkaException(topic.error)
        every = [self._at(partition) for partition in topic.partitions]
        committed: dict[Partition, Offset | None] = {}
        for each in self._consumer.committed(every, timeout=METADATA_SECONDS):
            if each.error is not None:
                raise KafkaException(each.error)
            committed[each.partition] = None if each.offset == OFFSET_INVALID else each.offset
        source = source_name(metadata.cluster_id, self._engine.settings.kafka_group, self._topic)
        return source, committed

    def _lost(self, partition: Partition, where: Place, bounds: Bounds, topic_id: TopicId) -> int:
        """How many records are missing that may contain evidence of a day within the retention."""
        if where.missing is None or self._reaches_back(partition, bounds, topic_id):
            return 0
        return where.position - where.missing

    def _reaches_back(self, partition: Partition, bounds: Bounds, topic_id: TopicId) -> bool:
        """Whether the partition has a record older than the retention, so that all missing records have expired."""
        if topic_id == NO_ID:
            return False  # the embedded broker cannot look up offsets by timestamp
        retained_since = self._engine.clock() - timedelta(days=self._engine.settings.retention_days)
        wanted = TopicPartition(self._topic, partition, round(retained_since.timestamp() * 1000))
        (first_retained,) = self._consumer.offsets_for_times([wanted], timeout=METADATA_SECONDS)
        if first_retained.error is not None:
            raise KafkaException(first_retained.error)
        if first_retained.offset == OFFSET_END:  # every record is older
            return bounds.low < bounds.high
        return first_retained.offset > bounds.low

    def _store(self, source: str, found: Found, located: Mapping[Partition, Located]) -> None:
        starts = [
            Start(partition, found.stored(partition), each.place.position, each.lost)
            for partition, each in located.items()
            if found.stored(partition) != each.place.position
        ]
        if not starts and not found.is_news:
            return
        is_loss = found.begun is Beginning.LOST and not found.progress.is_known
        previous = found.progress.topic_id
        if not self._engine.positions.begin(source, found.topic_id, found.begun, starts, previous=previous, is_loss=is_loss):
            raise DependencyUnavailable("redis", "was changed by another bridge, which took up the topic at the same time")

    def _log_start(self, found: Found, located: Mapping[Partition, Located]) -> None:
        for partition, (where, lost) in located.items():
            if where.remark:
                _log.error("partition %d: %s", partition, where.remark)
            elif where.missing is not None and found.stored(partition) is not None:
                level, suffix = (logging.ERROR, "") if lost else (logging.INFO, "; all of them were older than the retention")
                gone = "partition %d: records %d to %d are gone from Kafka, and were never taken%s"
                _log.log(level, gone, partition, where.missing, where.position - 1, suffix)
        if found.is_news:
            self._log_beginning(found)
        if missing := sum(each.lost for each in located.values()):
            _log.error(
                "%d events may be missing from the students' mastery: Kafka no longer has them. "
                "Send them again if you have them elsewhere (mastery replay), then: mastery bridge acknowledge-loss",
                missing,
            )
        elif found.begun is Beginning.LOST and found.is_news:
            _log.info("Kafka reaches back over the whole retention: every student's mastery is rebuilt from it")

    def _log_beginning(self, found: Found) -> None:
        topic, new = self._topic, found.topic_id
        match found.begun:
            case Beginning.ANEW:
                _log.error(
                    "topic %s was deleted and created again (its id was %s and is now %s): it is read from its beginning. "
                    "Records of the previous topic that were not taken yet are lost",
                    topic,
                    found.progress.topic_id,
                    new,
                )
            case Beginning.LOST:
                _log.error(
                    "Redis has lost its state: topic %s was read before, and no position is stored. Events are read again from "
                    "the earliest that Kafka has. Lost for good: %s",
                    topic,
                    ALSO_GONE,
                )
            case Beginning.FIRST if found.progress.is_known:
                _log.info("the positions stored for topic %s by its name now belong to its id %s", topic, new)
            case Beginning.FIRST:
                _log.info("topic %s is read for the first time (id %s)", topic, new or "none: this broker has no topic ids")

    def _at(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._topic, partition)
