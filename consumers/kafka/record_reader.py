"""Reads records of a topic by partition and offset, without a consumer group: no commits, no rebalances."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from app.config.settings import Settings
from consumers.kafka.clients import LastError, reader

READ_SECONDS = 10.0
READ_AT_ONCE = 500
POLL_SECONDS = 0.1


class Bounds(NamedTuple):
    """The offsets of a partition's records: from ``low`` to below ``high``."""

    low: int
    high: int


class RecordReader:
    """Reads given offsets. Raises DependencyUnavailable when Kafka does not answer."""

    def __init__(self, settings: Settings, seconds: float = READ_SECONDS) -> None:
        self._seconds = seconds  # timeout of each request
        self._last_error = LastError()
        self._consumer = reader(settings, self._last_error.record)

    def cluster_id(self) -> str:
        """The id of the Kafka cluster; the embedded broker has a new one at each start."""
        with self._last_error.raised_from(self._consumer):
            return str(self._consumer.list_topics(timeout=self._seconds).cluster_id)

    def bounds(self, topic: str) -> dict[int, Bounds]:
        """The current bounds of each partition of a topic; empty if the topic does not exist."""
        with self._last_error.raised_from(self._consumer):
            found = self._consumer.list_topics(topic, timeout=self._seconds).topics[topic]
            if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaException(found.error)
            return {
                partition: Bounds(
                    *self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=self._seconds)
                )
                for partition in found.partitions
            }

    def records(self, topic: str, bounds: Mapping[int, Bounds]) -> Iterator[Message]:
        """Read every record within the bounds; only one such iteration at a time.

        Yields:
            The records, ordered within each partition.
        """
        ends = {partition: bound.high for partition, bound in bounds.items() if bound.low < bound.high}
        self._consumer.assign([TopicPartition(topic, partition, bounds[partition].low) for partition in ends])
        try:
            while ends:
                for message in self._consume():
                    partition, offset = message.partition(), message.offset()
                    if partition is None or offset is None or partition not in ends:
                        continue
                    at_end = message.error() is not None  # of the partition; records may be missing just before it
                    if not at_end and offset < ends[partition]:
                        yield message
                    if at_end or offset >= ends[partition] - 1:
                        del ends[partition]
        finally:  # also if the caller reads no further: the consumer would go on prefetching
            with suppress(RuntimeError):  # it is closed already
                self._consumer.unassign()

    def record(self, topic: str, partition: int, offset: int) -> Message | None:
        """One record, or None if it does not exist (any more)."""
        bounds = self.bounds(topic).get(partition)
        if bounds is None or not bounds.low <= offset < bounds.high:
            return None
        found = list(self.records(topic, {partition: Bounds(offset, offset + 1)}))
        return found[0] if found and found[0].offset() == offset else None

    def _consume(self) -> list[Message]:
        """The next records and end-of-partition messages, at least one."""
        deadline = time.monotonic() + self._seconds
        with self._last_error.raised_from(self._consumer):
            while time.monotonic() < deadline:
                messages = self._consumer.consume(READ_AT_ONCE, POLL_SECONDS)
                failures = [error for each in messages if (error := _failure(each))]
                if len(failures) < len(messages):
                    return [each for each in messages if not _failure(each)]
                for failure in failures:  # librdkafka retries by itself
                    self._last_error.record(failure)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def _failure(message: Message) -> KafkaError | None:
    error = message.error()
    return None if error is None or error.code() == KafkaError._PARTITION_EOF else error
