"""How the engine's Kafka clients are configured, each number with its reason."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from app.config.settings import Settings
from app.errors import DependencyUnavailable

# The bridge polls at least every second, even while it waits for a dependency; far less than this is no sign of death.
MAX_POLL_INTERVAL_MS = 300_000
# How long the broker may hold back a fetch that finds nothing: it bounds the latency of the first event after a pause.
FETCH_WAIT_MS = 20
# What is read ahead is memory: 16 MB is a second of events at full speed.
QUEUED_KILOBYTES = 16_384
DELIVERY_SECONDS = 10.0  # then whoever sent it hears, and sends it again
FLUSH_SECONDS = 12.0  # above that: every message has its report by then
LINGER_MS = 5
# librdkafka has no setting for the oldest version of TLS, and its OpenSSL obeys the machine's settings. None of these cipher
# suites exists before TLS 1.2 (they are those of RFC 9325 section 4.2), so no older version can be agreed on. The suites of TLS
# 1.3 are not in question here.
CIPHER_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL"

# Key, value and headers of a message.
Content: TypeAlias = tuple[bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]
OnError: TypeAlias = Callable[[KafkaError], None]

_log = logging.getLogger(__name__)
# A line for each attempt to connect, of each client. Whoever uses a client hears of it as well, and says it once.
_log.addFilter(lambda record: not record.getMessage().startswith("FAIL "))


class Client(Protocol):
    """Any of Kafka's clients."""

    def poll(self, timeout: float, /) -> object:
        """Have the client say what it has to say."""


class LastError:
    """What a client said last of its brokers, which is why they do not answer: give ``record`` to it as ``error_cb``."""

    def __init__(self) -> None:
        self._error: KafkaError | None = None

    def record(self, error: KafkaError) -> None:
        """Remember it."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # which does not say why
            self._error = error

    @contextmanager
    def raised_from(self, client: Client) -> Iterator[None]:
        """Raise DependencyUnavailable in place of the client's errors, with the reason: what it said last, or the error's."""
        try:
            yield
        except KafkaException as error:
            client.poll(0)  # its callbacks run then
            reason: KafkaError = self._error or error.args[0]
            raise DependencyUnavailable("kafka", f"is unavailable: {reason.str()}") from error
        else:
            self._error = None  # what was wrong before is not any more


def connection(settings: Settings, on_error: OnError | None = None) -> dict[str, Any]:
    """What every client of Kafka needs to find the brokers, to trust them and to be trusted.

    Over TLS a broker has to show a certificate for its host's name, from an authority of the file or else of the system.
    ``on_error`` hears what is wrong with the brokers.
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
    """Raise DependencyUnavailable, with the reason, unless a broker answers in time."""
    said = LastError()
    client = Producer(connection(settings, said.record), logger=_log)
    with said.raised_from(client):
        client.list_topics(timeout=seconds)


def consumer(settings: Settings, on_error: OnError | None = None) -> Consumer:
    """The bridge's consumer. It commits only what it is told to. ``on_error`` hears what is wrong with the brokers."""
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
            # How far a partition is read is known also where its end is no record: markers of transactions, aborted ones.
            "enable.partition.eof": True,
        },
        logger=_log,
    )


def producer(settings: Settings, *, delivery_seconds: float = DELIVERY_SECONDS, on_error: OnError | None = None) -> Producer:
    """A producer whose messages arrive once and in order, or whose delivery report says that they did not.

    A message has arrived when all replicas in sync have it (``acks=all``, which idempotence implies).
    ``on_error`` hears what is wrong with the brokers.
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
    """A consumer of partitions that it is given, in no group; a message with an error tells when one is read to its end.

    ``on_error`` hears what is wrong with the brokers.
    """
    return Consumer(
        {
            **_common(settings, on_error),
            "group.id": f"{settings.kafka_group}-reader-{uuid4()}",  # required, though it is never used
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # where the retention overtakes a slow reader, it goes on with what is left
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,  # to ask about a topic must not make it
        },
        logger=_log,
    )


def deliver(
    producer: Producer, topic: str, messages: Iterable[Content], arrived: Callable[[Message], None] = lambda _message: None
) -> None:
    """Send messages, in order; all of them have arrived when this returns, and ``arrived`` has heard of each.

    Raises DependencyUnavailable when one did not: some may have arrived.
    """
    errors: list[KafkaError] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            arrived(message)
        else:
            errors.append(error)

    try:
        for key, value, headers in messages:
            _produce(producer, topic, key, value, headers, report)
        if producer.flush(FLUSH_SECONDS):
            raise DependencyUnavailable("kafka", "does not confirm what it was sent")
    except KafkaException as error:
        if error.args[0].fatal():
            raise  # this producer will never send again; the next process's will
        raise DependencyUnavailable("kafka") from error
    if errors:
        raise DependencyUnavailable("kafka") from KafkaException(errors[0])


def _produce(producer: Producer, topic: str, key: bytes | None, value: bytes | None, headers: Any, report: Any) -> None:
    while True:
        try:
            producer.produce(topic, value=value, key=key, headers=headers, on_delivery=report)
        except BufferError:  # the producer's queue is full: each message has its report within the delivery timeout
            producer.poll(1)
        else:
            return


def source_name(cluster_id: str | None, group: str, topic: str) -> str:
    """What the ledger calls a topic: positions of another cluster, or of another group, are not this one's."""
    return f"{cluster_id}/{group}/{topic}"


def place(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset of a record."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise AssertionError("a record without an error has a place")
    return topic, partition, offset


def size(message: Message) -> int:
    """Bytes of a record's value."""
    return len(message.value() or b"")


def headers_of(message: Message) -> dict[str, str]:
    """A record's headers that have a value, as text; of those with the same name the last. None where a name is not UTF-8."""
    try:
        headers = cast("list[tuple[str, bytes | None]] | None", message.headers())
    except (SystemError, UnicodeDecodeError):  # what the client makes of such a name
        return {}
    return {name: str(value, "utf-8", "replace") for name, value in headers or () if value is not None}


def _common(settings: Settings, on_error: OnError | None = None) -> dict[str, Any]:
    return {
        **connection(settings, on_error),
        "allow.auto.create.topics": True,
        # A broker that comes back is found within a second.
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
        # A topic that is created, or grows partitions, while the bridge runs is noticed within ten seconds.
        "topic.metadata.refresh.interval.ms": 10_000,
    }
