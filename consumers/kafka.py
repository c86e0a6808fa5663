"""How the engine's Kafka clients are configured, each number with its reason."""

import logging
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer

from app.settings import Settings

# A lost broker is noticed, and a dead bridge's partitions are given away, after this long.
SESSION_TIMEOUT_MS = 10_000
# The bridge polls at least every second, even while it waits for a dependency; far less than this is no sign of death.
MAX_POLL_INTERVAL_MS = 300_000
# How long the broker may hold back a fetch that finds nothing: it bounds the latency of the first event after a pause.
FETCH_WAIT_MS = 20
# What is read ahead is memory: 16 MB is a second of events at full speed.
QUEUED_KILOBYTES = 16_384
DELIVERY_TIMEOUT_MS = 30_000
LINGER_MS = 5

_log = logging.getLogger(__name__)


def consumer(settings: Settings, on_error: Callable[[KafkaError], None] | None = None) -> Consumer:
    """The bridge's consumer. It commits only what it is told to. ``on_error`` hears what is wrong with the brokers."""
    return Consumer(
        {
            **_common(settings),
            "group.id": settings.kafka_group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "queued.max.messages.kbytes": QUEUED_KILOBYTES,
            **({"error_cb": on_error} if on_error else {}),
        },
        logger=_log,
    )


def producer(settings: Settings) -> Producer:
    """A producer whose messages arrive once and in order, or whose delivery report says that they did not."""
    return Producer(
        {
            **_common(settings),
            "enable.idempotence": True,
            "linger.ms": LINGER_MS,
            "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
        },
        logger=_log,
    )


def _common(settings: Settings) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": "mastery",
        "allow.auto.create.topics": True,
        # A broker that comes back is found within a second.
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
        # A topic that is created, or grows partitions, while the bridge runs is noticed within ten seconds.
        "topic.metadata.refresh.interval.ms": 10_000,
    }
