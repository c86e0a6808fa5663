"""A partition that cannot be read is told of once when it goes and once when it is back, however often it is asked for."""

import logging

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.outage import Outages
from consumers.bridge.take_up import missed, part

NO_LEADER = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))


def test_partitions_that_cannot_be_read_make_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages(logging.getLogger("test"))
    for _ in range(3):
        missed(outages, 4, NO_LEADER)
        missed(outages, 5, NO_LEADER)
    outages.back(part(4))
    assert len(caplog.records) == 1
    outages.back(part(5))
    gone, back = (record.getMessage() for record in caplog.records)
    assert "partition 4" in gone
    assert back.startswith("kafka is available again")
