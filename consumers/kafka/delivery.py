"""Sends messages in batches, at a rate if one is given, and waits for their delivery reports."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.errors import DependencyUnavailable

BATCH, BATCH_BYTES = 500, 500_000  # messages between two confirmations: what an interrupted run may repeat
BATCHES_A_SECOND = 10  # with a rate: how evenly messages are spread over a second, and how often progress is shown
FLUSH_SECONDS = 12.0  # above the delivery timeout, so that every message has its report
INTERRUPT_SECONDS = 0.5  # the longest that Ctrl-C waits for the producer
UNREPORTED = KafkaError(KafkaError._MSG_TIMED_OUT)  # until a report says otherwise

# Key, value and headers of a message.
Content: TypeAlias = tuple[bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]
Item = TypeVar("Item")


def paced_batches(items: Iterable[Item], size: Callable[[Item], int], rate: int | None) -> Iterator[list[Item]]:
    """Group items into batches, and wait before each batch until the rate allows it.

    Args:
        items: what will be sent.
        size: the bytes of an item.
        rate: maximum items per second; None for no limit.

    Yields:
        Batches of at least one item.
    """
    limit = min(BATCH, max(1, rate // BATCHES_A_SECOND)) if rate else BATCH
    began, sent = time.monotonic(), 0
    remaining = iter(items)
    while batch := list(_batch(remaining, size, limit)):
        if rate:
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
        yield batch
        sent += len(batch)


def _batch(remaining: Iterator[Item], size: Callable[[Item], int], limit: int) -> Iterator[Item]:
    total = 0
    for number, item in enumerate(remaining, start=1):
        yield item
        total += size(item)
        if number == limit or total >= BATCH_BYTES:
            return


def produce(
    producer: Producer, topic: str, messages: Iterable[Content], arrived: Callable[[Message], None] = lambda _message: None
) -> dict[int, KafkaError]:
    """Send messages in order, and wait for their delivery reports.

    Propagates KafkaException for a fatal error, after which this producer never sends again.

    Args:
        producer: sends the messages.
        topic: where to.
        messages: their keys, values and headers.
        arrived: called with each delivered message.

    Returns:
        The errors of the messages that were not delivered, by index.
    """
    errors: dict[int, KafkaError] = {}

    def report(index: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            del errors[index]
            arrived(message)
        else:
            errors[index] = error

    for index, message in enumerate(messages):
        errors[index] = UNREPORTED
        try:
            _enqueue(producer, topic, message, partial(report, index))
        except KafkaException as error:
            errors[index] = error.args[0]
    deadline = time.monotonic() + FLUSH_SECONDS
    while producer.flush(INTERRUPT_SECONDS) and time.monotonic() < deadline:
        pass
    return errors


def deliver(
    producer: Producer, topic: str, messages: Iterable[Content], arrived: Callable[[Message], None] = lambda _message: None
) -> None:
    """Send messages like ``produce``. Raises DependencyUnavailable if one was not delivered; others may have been."""
    if errors := produce(producer, topic, messages, arrived):
        raise DependencyUnavailable("kafka") from KafkaException(next(iter(errors.values())))


def _enqueue(producer: Producer, topic: str, message: Content, report: Any) -> None:
    key, value, headers = message
    while True:
        try:
            producer.produce(topic, value=value, key=key, headers=headers, on_delivery=report)
        except BufferError:  # the queue is full, but drains within the delivery timeout
            producer.poll(1)
        else:
            return
