"""What Kafka's clients log by themselves."""

import logging

import pytest
from confluent_kafka import Producer

from consumers.kafka import clients as kafka


def test_attempts_to_connect_are_not_told_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    """An unavailable broker would fill the log; other messages of the client are kept."""
    client = Producer({"bootstrap.servers": "127.0.0.1:1"}, logger=logging.getLogger(kafka.__name__))
    client.poll(0.5)
    assert [line for line in caplog.messages if line.startswith("FAIL")] == []
    logging.getLogger(kafka.__name__).warning("MAXPOLL [a] too long")
    assert caplog.messages[-1] == "MAXPOLL [a] too long"
