"""Take partitions up: find out which topic it is and where each is read from, and note in Redis what is new or lost."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from confluent_kafka import OFFSET_END, OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.losses import ALSO_GONE
from app.events.positions import NO_ID, Beginning, Offset, Partition, Start, TopicId
from consumers.bridge.beginnings import Found, Place, place_of
from consumers.bridge.kafka_outage import partition_gone
from consumers.kafka.clients import source_name
from consumers.kafka.record_reader import Bounds
from consumers.kafka.topic_ids import TopicIds

METADATA_SECONDS = 2.0  # of a broker that is asked

_log = logging.getLogger(__name__)


class TakenUp(NamedTuple):
    """The topic, and where its partitions are read on from: without those whose broker does not answer.

    ``uncommitted`` are those for which the group has no offset yet.
    """

    source: str
    topic_id: TopicId
    positions: dict[Partition, Offset]
    uncommitted: set[Partition]


class Located(NamedTuple):
    """Where a partition is read from, and how many records are lost thereby."""

    place: Place
    lost: int


class TakeUp:
    """For one consumer and its topic. Raises DependencyUnavailable when Kafka or Redis does not answer."""

    def __init__(self, consumer: Consumer, engine: Engine, ids: TopicIds) -> None:
        self._consumer = consumer
        self._engine = engine
        self._ids = ids
        self._topic = engine.settings.events_topic

    def take_up(self, partitions: Iterable[Partition], *, was_read: bool) -> TakenUp:
        """Find out about these partitions. ``was_read``: this bridge has read the topic before."""
        topic_id = self._ids.existing(self._topic)
        try:
            source, committed = self._committed()
        except KafkaException as error:
            raise DependencyUnavailable("kafka") from error
        found = self._found(source, topic_id, was_read=was_read or any(committed.values()))
        located = dict(self._locate(found, partitions, committed))
        self._note(source, found, located)
        self._tell(found, located)
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
        """The source, and what the group has committed of each partition of the topic: nothing of those that are None."""
        metadata = self._consumer.list_topics(self._topic, timeout=METADATA_SECONDS)
        every = [self._at(partition) for partition in metadata.topics[self._topic].partitions]
        committed: dict[Partition, Offset | None] = {}
        for each in self._consumer.committed(every, timeout=METADATA_SECONDS):
            if each.error is not None:
                raise KafkaException(each.error)
            committed[each.partition] = None if each.offset == OFFSET_INVALID else each.offset
        source = source_name(metadata.cluster_id, self._engine.settings.kafka_group, self._topic)
        return source, committed

    def _lost(self, partition: Partition, where: Place, bounds: Bounds, topic_id: TopicId) -> int:
        """How many records are missing that may have told of a day that is still retained."""
        if where.missing is None or self._reaches_back(partition, bounds, topic_id):
            return 0
        return where.position - where.missing

    def _reaches_back(self, partition: Partition, bounds: Bounds, topic_id: TopicId) -> bool:
        """Whether there is a record older than the retention, so that whatever was before it has expired."""
        if topic_id == NO_ID:
            return False  # the embedded broker does not know when a record came
        retained_since = self._engine.clock() - timedelta(days=self._engine.settings.retention_days)
        wanted = TopicPartition(self._topic, partition, round(retained_since.timestamp() * 1000))
        (first_retained,) = self._consumer.offsets_for_times([wanted], timeout=METADATA_SECONDS)
        if first_retained.error is not None:
            raise KafkaException(first_retained.error)
        if first_retained.offset == OFFSET_END:  # none is so young
            return bounds.low < bounds.high
        return first_retained.offset > bounds.low

    def _note(self, source: str, found: Found, located: Mapping[Partition, Located]) -> None:
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
            raise DependencyUnavailable("redis", "was told of the topic by another bridge at this moment")

    def _tell(self, found: Found, located: Mapping[Partition, Located]) -> None:
        for partition, (where, lost) in located.items():
            if where.remark:
                _log.error("partition %d: %s", partition, where.remark)
            elif where.missing is not None and found.stored(partition) is not None:
                say, why = (_log.error, "") if lost else (_log.info, "; all of them were older than the retention")
                gone = "partition %d: records %d to %d are gone from Kafka, and were never taken%s"
                say(gone, partition, where.missing, where.position - 1, why)
        if found.is_news:
            self._tell_how_it_begins(found)
        if missing := sum(each.lost for each in located.values()):
            _log.error(
                "%d events may be missing from the students' mastery: Kafka does not have them any more. "
                "Send them again if you have them elsewhere (mastery replay), then: mastery bridge acknowledge-loss",
                missing,
            )
        elif found.begun is Beginning.LOST and found.is_news:
            _log.info("Kafka reaches back over the whole retention: every student's mastery is rebuilt from it")

    def _tell_how_it_begins(self, found: Found) -> None:
        topic, new = self._topic, found.topic_id
        match found.begun:
            case Beginning.ANEW:
                _log.error(
                    "topic %s was deleted and created again (its id was %s, and is %s): it is read from its beginning. "
                    "What was in the previous one and not taken yet is lost",
                    topic,
                    found.progress.topic_id,
                    new,
                )
            case Beginning.LOST:
                _log.error(
                    "Redis has lost its state: topic %s was read before, and no position is stored. Events are read again from "
                    "the beginning of what Kafka has. Gone, and not to be rebuilt: %s",
                    topic,
                    ALSO_GONE,
                )
            case Beginning.FIRST if found.progress.is_known:
                _log.info("what was stored by the name of topic %s is now that of the topic with the id %s", topic, new)
            case Beginning.FIRST:
                _log.info("topic %s is read for the first time (id %s)", topic, new or "none: this broker gives topics none")

    def _at(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._topic, partition)
