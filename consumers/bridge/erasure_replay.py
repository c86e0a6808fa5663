"""Reads the records of erasures from Kafka, and restores those that Redis has lost, before the bridge accepts events.

How far the topic was read is in Redis, written after the erasures themselves. So a loss of writes takes back the position with
the erasures, and they are read again.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from confluent_kafka import Message

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.positions import Beginning, Partition, Progress, Start, TopicId
from app.privacy.erasure_record import decode_record
from app.privacy.restore_erasures import Sources, restore_erasures
from app.storage.scripts import slices
from consumers.kafka.clients import source_name
from consumers.kafka.record_reader import Bounds, RecordReader
from consumers.kafka.topic_ids import METADATA_SECONDS, TopicIds

# Between looks at the topic while events are accepted. If Redis loses an erasure but no event, the bridge notices it then.
FOLLOW_SECONDS = 10.0
RECORDS_AT_ONCE = 50_000  # 20 MB; each time, the students of a tenant with a lost erasure are looked through once

_log = logging.getLogger(__name__)


class ErasureReplay:
    """Of one bridge. Not thread-safe."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self._engine = engine
        self._topic, self._group = settings.erasures_topic, settings.kafka_group
        self._ids = TopicIds(settings)
        self._reader = RecordReader(settings, METADATA_SECONDS)  # the bridge must go on soon while Kafka is away
        self._next_look = 0.0
        self._sources = Sources(
            engine.mastery.facts,
            (engine.mastery.scores, engine.student_keys),
            engine.erasures,
            engine.audit.pseudonyms,
            engine.letter_keys,
        )

    def catch_up(self) -> None:
        """Restore what the topic has, up to its present end. Propagates DependencyUnavailable."""
        topic_id = self._ids.of(self._topic)
        if topic_id is not None:  # otherwise nobody was ever erased
            self._read(topic_id)
        self._next_look = time.monotonic() + FOLLOW_SECONDS

    def follow(self) -> None:
        """Catch up from time to time. While Kafka or Redis does not answer, it is tried again later."""
        if time.monotonic() < self._next_look:
            return
        try:
            self.catch_up()
        except DependencyUnavailable as error:
            _log.info("%s; looking for erasures again later", error)
            self._next_look = time.monotonic() + FOLLOW_SECONDS

    def _read(self, topic_id: TopicId) -> None:
        source = source_name(self._reader.cluster_id(), self._group, self._topic)
        progress = self._engine.positions.of(source)
        bounds = self._reader.bounds(self._topic)
        unread = {partition: _unread(progress, topic_id, partition, bound) for partition, bound in bounds.items()}
        lost = sum(self._restore(some) for some in slices(self._reader.records(self._topic, unread), RECORDS_AT_ONCE))
        if lost:
            _log.warning("erasures that Redis had lost: %d; restored from topic %s", lost, self._topic)
        known = progress.offsets if progress.is_of(topic_id) else {}
        starts = [Start(each, known.get(each), bound.high) for each, bound in bounds.items() if known.get(each) != bound.high]
        if starts:  # another bridge may have been faster: then its positions stay
            self._engine.positions.begin(source, topic_id, Beginning.FIRST, starts, previous=progress.topic_id, is_loss=False)

    def _restore(self, messages: Iterable[Message]) -> int:
        """Restore erasures, those of each tenant together. Returns how many Redis had lost."""
        recorded: Mapping[str, dict[str, datetime]] = defaultdict(dict)
        for message in messages:
            record = decode_record(message.value() or b"")
            if record is None:
                _log.error(
                    "topic %s: not an erasure: partition %s, offset %s", self._topic, message.partition(), message.offset()
                )
                continue
            of_tenant = recorded[record.tenant_id]
            of_tenant[record.pseudonym] = max(record.erased_until, of_tenant.get(record.pseudonym, record.erased_until))
        now = self._engine.clock()
        return sum(restore_erasures(tenant, each, sources=self._sources, now=now) for tenant, each in recorded.items())


def _unread(progress: Progress, topic_id: TopicId, partition: Partition, bound: Bounds) -> Bounds:
    """The records of a partition that were not read yet; all of them if the stored position is not one of this topic's."""
    position = progress.offsets.get(partition) if progress.is_of(topic_id) else None
    return bound._replace(low=position) if position is not None and bound.low <= position <= bound.high else bound
