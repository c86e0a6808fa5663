"""The lag of the bridges: the distance between the ledger's positions and the end of the events topic."""

from app.bootstrap import Engine
from app.events.positions import Offset, Partition
from consumers.kafka.clients import source_name
from consumers.kafka.record_reader import RecordReader
from consumers.kafka.topic_ids import TopicIds


class Lag:
    """The lag of all bridges together. Raises DependencyUnavailable when Kafka or Redis does not answer."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self._positions = engine.positions
        self._ids = TopicIds(settings)
        self._topic = settings.events_topic
        self._group = settings.kafka_group
        self._reader = RecordReader(settings)

    def ends(self) -> tuple[str, dict[Partition, Offset]]:
        """The source's name in the ledger, and the end offset of each partition."""
        return self._source(), {partition: bound.high for partition, bound in self._reader.bounds(self._topic).items()}

    def by_partition(self) -> dict[Partition, int]:
        """The number of offsets not taken over yet, by partition; includes transaction markers and aborted records."""
        bounds = self._reader.bounds(self._topic)
        progress = self._positions.of(self._source())
        topic_id = self._ids.of(self._topic)
        positions = progress.offsets if topic_id is not None and progress.is_of(topic_id) else {}
        return {
            partition: max(0, bound.high - max(positions.get(partition, 0), bound.low)) for partition, bound in bounds.items()
        }

    def _source(self) -> str:
        return source_name(self._reader.cluster_id(), self._group, self._topic)

    def records(self) -> int:
        """The lag summed over all partitions."""
        return sum(self.by_partition().values())

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
