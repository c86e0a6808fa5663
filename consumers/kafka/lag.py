"""How far the bridges are behind the end of the events topic, as the broker and the ledger say."""

from app.bootstrap import Engine
from app.events.positions import Offset, Partition
from consumers.kafka.clients import source_name
from consumers.kafka.record_reader import RecordReader
from consumers.kafka.topic_ids import TopicIds


class Lag:
    """Of all bridges together. Raises DependencyUnavailable when Kafka or Redis does not answer."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self._positions = engine.positions
        self._ids = TopicIds(settings)
        self._topic = settings.events_topic
        self._group = settings.kafka_group
        self._reader = RecordReader(settings)

    def ends(self) -> tuple[str, dict[Partition, Offset]]:
        """The source, as the positions name it, and the offset after the last record of each partition."""
        return self._source(), {partition: bound.high for partition, bound in self._reader.bounds(self._topic).items()}

    def by_partition(self) -> dict[Partition, int]:
        """How far each partition is from its end: the records that were produced and not yet taken over.

        What is no record counts too, until the bridge has gone past it: markers of transactions, and what was aborted.
        """
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
        """All of them."""
        return sum(self.by_partition().values())

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()
