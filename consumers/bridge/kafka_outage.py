"""Whether Kafka answers the bridge's consumer, and gives it each partition.

librdkafka tells when Kafka is away, and is asked whether it is back.
"""

import logging

from confluent_kafka import Consumer, KafkaError, KafkaException

from app.errors import DependencyUnavailable
from app.events.positions import Partition
from app.outage import Outages

CONNECTION_ERRORS = {KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL, KafkaError._AUTHENTICATION}
LOOK_SECONDS = 1.0  # for an answer
_CONSUMER = "consumer"  # who misses Kafka: see app/outage.py

_log = logging.getLogger(__name__)


class KafkaOutage:
    """Of one consumer. Give ``record`` to it as ``error_cb``."""

    def __init__(self, outages: Outages, topic: str) -> None:
        self._outages = outages
        self._topic = topic
        self._reason = "no broker answers"
        self.is_away = False

    def record(self, error: KafkaError) -> None:
        """What the consumer has to say of its brokers; called from within a read."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_away = True
            self._outages.gone(DependencyUnavailable("kafka", f"is unavailable: {self._reason}"), _CONSUMER)
        elif error.code() in CONNECTION_ERRORS:  # said again with each attempt to connect; all of them together are told above
            self._reason = error.str()
            _log.debug("kafka: %s", error.str())
        else:
            _log.warning("kafka: %s", error.str())

    def look(self, consumer: Consumer) -> None:
        """While Kafka is away, find out whether it is back."""
        if not self.is_away:
            return
        try:
            consumer.list_topics(self._topic, timeout=LOOK_SECONDS)
        except KafkaException:
            return  # still away, as was said
        self.is_away = False
        self._outages.back(_CONSUMER)


def partition_gone(outages: Outages, partition: Partition, error: KafkaException) -> None:
    """Say that a partition cannot be read: once, however many cannot, and however often they are asked for."""
    reason: KafkaError = error.args[0]
    said = DependencyUnavailable("kafka", f"does not give partition {partition}: {reason.str()}")
    outages.gone(said, _reader_of(partition))


def partition_back(outages: Outages, partition: Partition) -> None:
    """The partition is read again, or is another's to read."""
    outages.back(_reader_of(partition))


def _reader_of(partition: Partition) -> str:
    return f"reader of partition {partition}"
