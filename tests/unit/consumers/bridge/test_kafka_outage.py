"""An unreadable partition is logged once when it fails and once when it is back, however often it is polled."""

import logging

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.outage import Outages
from consumers.bridge.kafka_outage import partition_back, partition_gone

NO_LEADER = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))


def test_partitions_that_cannot_be_read_make_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages(logging.getLogger("test"))
    for _ in range(3):
        partition_gone(outages, 4, NO_LEADER)
        partition_gone(outages, 5, NO_LEADER)
    partition_back(outages, 4)
    assert len(caplog.records) == 1
    partition_back(outages, 5)
    gone, back = (record.getMessage() for record in caplog.records)
    assert "partition 4" in gone
    assert back.startswith("kafka is available again")
