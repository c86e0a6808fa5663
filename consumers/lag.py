"""How far the bridges are behind the end of the events topic, as the broker and the ledger say."""

from app.bootstrap import Engine
from app.events.ledger import Partition
from consumers.kafka import source_name
from consumers.record_reader import RecordReader


class Lag:
    """Of all bridges together. Raises DependencyUnavailable when Kafka or Redis does not answer."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self._ledger = engine.ledger
        self._topic = settings.events_topic
        self._group = settings.kafka_group
        self._reader = RecordReader(settings)

    def by_partition(self) -> dict[Partition, int]:
        """Records of each partition that were produced and not yet taken over."""
        bounds = self._reader.bounds(self._topic)
        positions = self._ledger.positions(source_name(self._reader.cluster_id(), self._group, self._topic))
        return {
            partition: max(0, bound.high - max(positions.get(partition, 0), bound.low)) for partition, bound in bounds.items()
        }

    def records(self) -> int:
        """All of them."""
        return sum(self.by_partition().values())

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()
