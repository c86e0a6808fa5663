"""Tracks whether Kafka, and each partition, is available to the bridge's consumer.

librdkafka reports an outage by callback, but not its end, so the bridge polls for that.
"""

import logging

from confluent_kafka import Consumer, KafkaError, KafkaException

from app.errors import DependencyUnavailable
from app.events.positions import Partition
from app.outage import Outages

CONNECTION_ERRORS = {KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL, KafkaError._AUTHENTICATION}
CHECK_SECONDS = 1.0  # metadata timeout
_CONSUMER = "consumer"  # the part that reports the outage: see app/outage.py

_log = logging.getLogger(__name__)


class KafkaOutage:
    """The outages of one consumer. Pass ``record`` to it as ``error_cb``."""

    def __init__(self, outages: Outages, topic: str) -> None:
        self._outages = outages
        self._topic = topic
        self._reason = "no broker answers"
        self.is_away = False

    def record(self, error: KafkaError) -> None:
        """Handle an error of the consumer's brokers; called during a poll."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_away = True
            self._outages.gone(DependencyUnavailable("kafka", f"is unavailable: {self._reason}"), _CONSUMER)
        elif error.code() in CONNECTION_ERRORS:  # repeated at each attempt to connect; an outage of all brokers is logged above
            self._reason = error.str()
            _log.debug("kafka: %s", error.str())
        else:
            _log.warning("kafka: %s", error.str())

    def check(self, consumer: Consumer) -> None:
        """During an outage, check whether it is over."""
        if not self.is_away:
            return
        try:
            consumer.list_topics(self._topic, timeout=CHECK_SECONDS)
        except KafkaException:
            return
        self.is_away = False
        self._outages.back(_CONSUMER)


def partition_gone(outages: Outages, partition: Partition, error: KafkaException) -> None:
    """Report that a partition cannot be read. An outage is logged once, for any number of partitions and retries."""
    reason: KafkaError = error.args[0]
    outage = DependencyUnavailable("kafka", f"does not give partition {partition}: {reason.str()}")
    outages.gone(outage, _reader_of(partition))


def partition_back(outages: Outages, partition: Partition) -> None:
    """Report that a partition is read again, or was revoked."""
    outages.back(_reader_of(partition))


def _reader_of(partition: Partition) -> str:
    return f"reader of partition {partition}"
