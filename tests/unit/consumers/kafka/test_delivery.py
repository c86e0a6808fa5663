"""Messages are sent in batches, and each that is not delivered has its error."""

import time

import pytest
from confluent_kafka import KafkaError, Producer

from consumers.kafka.delivery import Content, paced_batches, produce


def test_a_batch_ends_at_its_number_of_messages_or_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are counted anew in each batch; an item that is larger than a batch is sent alone."""
    monkeypatch.setattr("consumers.kafka.delivery.BATCH", 3)
    monkeypatch.setattr("consumers.kafka.delivery.BATCH_BYTES", 10)
    sizes = [1, 1, 1, 5, 5, 99, 1]
    assert [[1, 1, 1], [5, 5], [99], [1]] == list(paced_batches(sizes, lambda size: size, None))
    assert list(paced_batches([], lambda size: size, None)) == []


def test_a_rate_makes_ten_batches_a_second() -> None:
    """The first is not delayed; a low rate makes batches of one item."""
    began = time.monotonic()
    moments = [(len(batch), time.monotonic() - began) for batch in paced_batches(range(6), lambda _item: 1, 20)]
    assert [count for count, _ in moments] == [2, 2, 2]
    assert moments[0][1] < 0.1 <= moments[1][1]
    assert moments[2][1] >= 0.2
    assert [len(batch) for batch in paced_batches(range(2), lambda _item: 1, 9)] == [1, 1]


def test_each_message_that_is_not_delivered_has_its_error() -> None:
    """One that the producer refuses at once does not keep the others from being sent."""
    nowhere = Producer({"bootstrap.servers": "127.0.0.1:9", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0})
    messages: list[Content] = [(b"key", b"value", []), (b"key", b"x" * 2_000_000, []), (None, None, [("name", b"value")])]
    errors = produce(nowhere, "topic", messages)
    assert {index: error.code() for index, error in errors.items()} == {
        0: KafkaError._MSG_TIMED_OUT,
        1: KafkaError.MSG_SIZE_TOO_LARGE,
        2: KafkaError._MSG_TIMED_OUT,
    }
