"""The configuration of the engine's Kafka clients, with the reason for each number."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from app.config.settings import Settings
from app.errors import DependencyUnavailable

# Kafka's default. The bridge polls at least every second, even while it waits for a dependency.
MAX_POLL_INTERVAL_MS = 300_000
# How long the broker may hold back an empty fetch; bounds the latency of the first event after a pause.
FETCH_WAIT_MS = 20
# Memory for read-ahead: 16 MB is one second of events at full speed.
QUEUED_KILOBYTES = 16_384
DELIVERY_SECONDS = 10.0  # then the delivery report is an error, and the sender retries
LINGER_MS = 5
LEAVE_SECONDS = 5.0  # a broker answers within milliseconds; without one, the group's timeout removes the consumer
LEAVE_POLL_SECONDS = 0.1
# librdkafka has no setting for the minimum TLS version, and its OpenSSL uses the machine's. These cipher suites (RFC 9325,
# section 4.2) do not exist before TLS 1.2, so no older version can be negotiated. The setting does not affect TLS 1.3.
CIPHER_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL"

OnError: TypeAlias = Callable[[KafkaError], None]

_log = logging.getLogger(__name__)
# Each client logs every failed attempt to connect. The error callbacks report the same, and their users log an outage once.
_log.addFilter(lambda record: not record.getMessage().startswith("FAIL "))


class Client(Protocol):
    """Any Kafka client."""

    def poll(self, timeout: float, /) -> object:
        """Run the pending callbacks."""


class LastError:
    """The last error that a client reported about its brokers. Pass ``record`` to it as ``error_cb``."""

    def __init__(self) -> None:
        self._error: KafkaError | None = None

    def record(self, error: KafkaError) -> None:
        """Remember the error."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # has no reason
            self._error = error

    @contextmanager
    def raised_from(self, client: Client) -> Iterator[None]:
        """Raise DependencyUnavailable in place of KafkaException, with the last reported error as reason, else its own."""
        try:
            yield
        except KafkaException as error:
            client.poll(0)  # runs error_cb
            reason: KafkaError = self._error or error.args[0]
            raise DependencyUnavailable("kafka", f"is unavailable: {reason.str()}") from error
        else:
            self._error = None  # the outage is over


def connection(settings: Settings, on_error: OnError | None = None) -> dict[str, Any]:
    """Connection settings for every Kafka client: bootstrap servers, TLS, SASL.

    With TLS, a broker's certificate must match its host name, and its CA must be in the CA file, if set, or the system's.

    Args:
        settings: the engine's settings.
        on_error: called with errors of the brokers.

    Returns:
        Settings for librdkafka.
    """
    wanted = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": "mastery",
        "security.protocol": settings.kafka_security_protocol,
        "error_cb": on_error,
    }
    tls = {
        "ssl.cipher.suites": CIPHER_SUITES,
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.location": settings.kafka_ca_file,
        "ssl.certificate.location": settings.kafka_cert_file,
        "ssl.key.location": settings.kafka_key_file,
    }
    sasl = {
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_username,
        "sasl.password": settings.kafka_password,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        wanted |= tls
    if settings.kafka_security_protocol.startswith("SASL"):
        wanted |= sasl
    return {name: value for name, value in wanted.items() if value}


def ping(settings: Settings, seconds: float) -> None:
    """Raise DependencyUnavailable, with the reason, unless a broker answers within ``seconds``."""
    last_error = LastError()
    client = Producer(connection(settings, last_error.record), logger=_log)
    with last_error.raised_from(client):
        client.list_topics(timeout=seconds)


def consumer(settings: Settings, on_error: OnError | None = None) -> Consumer:
    """The bridge's consumer, without automatic commits. ``on_error`` is called with errors of the brokers."""
    return Consumer(
        {
            **_common(settings, on_error),
            "group.id": settings.kafka_group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": round(settings.kafka_session_seconds * 1000),
            "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "queued.max.messages.kbytes": QUEUED_KILOBYTES,
            # The end of a partition may be after its last record, if transaction markers or aborted records follow.
            "enable.partition.eof": True,
        },
        logger=_log,
    )


def producer(settings: Settings, *, delivery_seconds: float = DELIVERY_SECONDS, on_error: OnError | None = None) -> Producer:
    """An idempotent producer: a message is delivered once and in order, or its delivery report has an error.

    Delivered means that all in-sync replicas have it (``acks=all``, implied by idempotence).

    Args:
        settings: the engine's settings.
        delivery_seconds: the delivery timeout.
        on_error: called with errors of the brokers.

    Returns:
        The producer.
    """
    return Producer(
        {
            **_common(settings, on_error),
            "enable.idempotence": True,
            "linger.ms": LINGER_MS,
            "delivery.timeout.ms": round(delivery_seconds * 1000),
        },
        logger=_log,
    )


def reader(settings: Settings, on_error: OnError | None = None) -> Consumer:
    """A consumer for manual assignment, without a group. ``on_error`` is called with errors of the brokers."""
    return Consumer(
        {
            **_common(settings, on_error),
            "group.id": f"{settings.kafka_group}-reader-{uuid4()}",  # required by librdkafka, never used
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # if retention deletes records before a slow reader gets them
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,  # a metadata request must not create the topic
        },
        logger=_log,
    )


def leave_and_close(consumer: Consumer) -> None:
    """Leave the consumer group, then close the consumer. Its callbacks of revoked or lost partitions are called before.

    ``close`` alone leaves too, but if the group assigns partitions in that moment, it may wait forever, with the GIL
    (confluentinc/librdkafka#4884). Without a subscription, nothing is assigned any more.
    """
    consumer.unsubscribe()
    deadline = time.monotonic() + LEAVE_SECONDS
    while True:
        consumer.poll(LEAVE_POLL_SECONDS)  # runs the callbacks; a record is not taken, and is read again
        if not consumer.assignment() or time.monotonic() > deadline:
            break
    consumer.close()


def source_name(cluster_id: str | None, group: str, topic: str) -> str:
    """The key of a topic's positions in the ledger, which are specific to a cluster and a consumer group."""
    return f"{cluster_id}/{group}/{topic}"


def place(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset of a record or end-of-partition message."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise AssertionError("a consumed message has a topic, a partition and an offset")
    return topic, partition, offset


def size(message: Message) -> int:
    """Size of a record's value in bytes."""
    return len(message.value() or b"")


def headers_of(message: Message) -> dict[str, str]:
    """A record's headers with values, as text; the last of each name. Empty if a name is not UTF-8."""
    try:
        headers = cast("list[tuple[str, bytes | None]] | None", message.headers())
    except (SystemError, UnicodeDecodeError):  # confluent_kafka's errors for such a name
        return {}
    return {name: str(value, "utf-8", "replace") for name, value in headers or () if value is not None}


def _common(settings: Settings, on_error: OnError | None = None) -> dict[str, Any]:
    return {
        **connection(settings, on_error),
        "allow.auto.create.topics": True,
        # Reconnect within a second after a broker is back.
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
        # Notice new topics and partitions within ten seconds.
        "topic.metadata.refresh.interval.ms": 10_000,
    }
