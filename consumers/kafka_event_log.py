"""The API's producer for the events topic: a request returns when each of its events is confirmed or failed.

All threads of a process share one producer. It is created on first use, so never before a fork. A background thread polls it
for delivery reports, so a caller waits only for its own messages. ``consumers/kafka/delivery.py`` does not serve here: it
flushes, which would wait for the messages of all threads.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import BoundedSemaphore, Event, Lock, Thread
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.dead_letter import TRACE
from app.events.event_log import LogRecord
from app.events.event_quota import COUNTED
from consumers.kafka.clients import LastError, producer

POLL_SECONDS = 0.1  # how long the polling thread takes to notice that it must end
REPORT_SECONDS = 2.0  # beyond the delivery timeout, which librdkafka checks once a second
PING_SECONDS = 1.0  # the timeout that /ready also gives the other dependencies
# How long a caller waits for a slot before it is rejected. A delivery takes milliseconds normally, and half a second with a new
# producer.
SLOT_SECONDS = 1.0

_log = logging.getLogger(__name__)


class KafkaEventLog:
    """An EventLog in Kafka, with a circuit breaker.

    While Kafka is known to be unavailable, callers fail at once, except one at a time, which probes Kafka. Before the outage is
    detected, at most half of the HTTP threads wait for Kafka. The others stay free for requests that do not need it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sender_lock = Lock()
        self._sender: _Sender | None = None
        self._slots = BoundedSemaphore(max(1, settings.http_threads // 2))
        self._is_away = False
        self._confirmed_at = 0.0  # the last time, by the monotonic clock
        self._probing = Lock()

    def append(self, records: Sequence[LogRecord]) -> None:
        """Send records and return when Kafka has confirmed all of them. Raises DependencyUnavailable."""
        with self._circuit_breaker(), self._slot():
            self._ready_sender().deliver(records, self._settings.ingest_wait_seconds + REPORT_SECONDS)

    def ping(self) -> None:
        """Raise DependencyUnavailable, with the reason, unless Kafka answers and has the topic."""
        self._ready_sender().ping()

    def close(self) -> None:
        """Close the producer after its outstanding messages were delivered or timed out."""
        with self._sender_lock:
            if self._sender is not None:
                self._sender.close(self._settings.ingest_wait_seconds)
            self._sender = None

    @contextmanager
    def _circuit_breaker(self) -> Iterator[None]:
        is_probe = self._is_away
        if is_probe and not self._probing.acquire(blocking=False):
            raise DependencyUnavailable("kafka")
        began = monotonic()
        try:
            yield
        except DependencyUnavailable:
            # Not if it confirmed records of others meanwhile, as when only the slots are busy.
            self._is_away = self._confirmed_at < began
            raise
        else:
            self._is_away, self._confirmed_at = False, monotonic()
        finally:
            if is_probe:
                self._probing.release()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=SLOT_SECONDS):
            raise DependencyUnavailable("kafka", "does not keep up with those who wait for it")
        try:
            yield
        finally:
            self._slots.release()

    def _ready_sender(self) -> "_Sender":
        with self._sender_lock:
            if self._sender is not None and self._sender.is_broken:
                self._sender.close(0)
                self._sender = None
            if self._sender is None:
                self._sender = _Sender(self._settings)
            return self._sender


class _Sender:
    """A producer, and the thread that polls it for delivery reports."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.events_topic
        self._last_error = LastError()
        self._producer: Producer = producer(
            settings, delivery_seconds=settings.ingest_wait_seconds, on_error=self._last_error.record
        )
        self.is_broken = False  # after a fatal error, a producer never sends again
        self._ended = Event()
        # A daemon thread: it must not keep alive a process that ends without calling close.
        self._polling = Thread(target=self._poll, name="kafka-reports", daemon=True)
        self._polling.start()

    def deliver(self, records: Sequence[LogRecord], seconds: float) -> None:
        """Return when all records are confirmed. Raises DependencyUnavailable when one is not within ``seconds``."""
        delivery = _Delivery(len(records))
        with self._last_error.raised_from(self._producer):
            try:
                for record in records:
                    self._send(record, delivery)
                delivery.wait(seconds)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                self.is_broken = reason.fatal() or reason.code() == KafkaError._FATAL
                raise

    def _send(self, record: LogRecord, delivery: "_Delivery") -> None:
        headers: list[tuple[str, str | bytes | None]] = [(TRACE, record.traceparent)] if record.traceparent else []
        milliseconds = 0  # now
        if record.counted_at is not None:
            headers.append((COUNTED, "http"))
            milliseconds = int(record.counted_at.timestamp() * 1000)
        try:
            self._producer.produce(
                self._topic, record.value, record.key, on_delivery=delivery.report, timestamp=milliseconds, headers=headers
            )
        except BufferError as error:  # unlikely: the slots bound how much is in flight
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from error

    def ping(self) -> None:
        with self._last_error.raised_from(self._producer):
            found = self._producer.list_topics(self._topic, timeout=PING_SECONDS).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)

    def close(self, seconds: float) -> None:
        self._ended.set()
        self._polling.join()
        if left := self._producer.flush(seconds):
            _log.warning("%d events were not confirmed; their requests were answered with an error", left)

    def _poll(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(POLL_SECONDS)


class _Delivery:
    """The delivery reports of one caller's messages. Thread-safe: any thread may receive them."""

    def __init__(self, records: int) -> None:
        self._lock = Lock()
        self._missing = records
        self._failure: KafkaError | None = None
        self._is_done = Event()

    def report(self, error: KafkaError | None, _message: Message) -> None:
        """Take the delivery report of one record."""
        with self._lock:
            self._failure = error or self._failure
            self._missing -= 1
            if not self._missing:
                self._is_done.set()

    def wait(self, seconds: float) -> None:
        """Return when all are confirmed. Raises KafkaException when one failed or is not confirmed within ``seconds``."""
        if not self._is_done.wait(seconds):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if self._failure is not None:
            raise KafkaException(self._failure)
