"""The events topic as the API writes to it: a request returns when Kafka has confirmed each of its events, or that one is not.

One producer for all threads of a process, made when the first of them needs it, so never before a fork. A thread of its own
hears its reports: a caller waits for those on what it sent, and not, as with ``flush``, for those of everybody else.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import BoundedSemaphore, Event, Lock, Thread

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.dead_letter import TRACE
from app.events.event_log import LogRecord
from app.events.event_quota import COUNTED
from consumers.kafka.clients import LastError, producer

POLL_SECONDS = 0.1  # how long the reports' thread takes to notice that it is to end
REPORT_SECONDS = 2.0  # above the delivery timeout, of which the client takes notice once a second
PING_SECONDS = 1.0  # as long as the other dependencies have, of which /ready asks
# So long a caller waits for others before it is told to come again. They take milliseconds each while all is well, and half a
# second where the producer is new.
TURN_SECONDS = 1.0

_log = logging.getLogger(__name__)


class KafkaEventLog:
    """An EventLog in Kafka.

    While Kafka is away callers are told at once, and one of them at a time finds out whether it still is; until that is known,
    at most half of the threads wait for it. So its silence does not take the threads that need no Kafka.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._making = Lock()
        self._sender: _Sender | None = None
        self._turns = BoundedSemaphore(max(1, settings.http_threads // 2))
        self._is_away = False
        self._trying = Lock()

    def append(self, records: Sequence[LogRecord]) -> None:
        """Return when Kafka has all records. Raises DependencyUnavailable."""
        with self._unless_away(), self._a_turn():
            self._ready_sender().deliver(records, self._settings.ingest_wait_seconds + REPORT_SECONDS)

    def ping(self) -> None:
        """Raise DependencyUnavailable, with the reason, unless Kafka knows the topic."""
        self._ready_sender().ping()

    def close(self) -> None:
        """Let the connection go, once what is on its way has arrived or was given up."""
        with self._making:
            if self._sender is not None:
                self._sender.close(self._settings.ingest_wait_seconds)
            self._sender = None

    @contextmanager
    def _unless_away(self) -> Iterator[None]:
        is_trial = self._is_away
        if is_trial and not self._trying.acquire(blocking=False):
            raise DependencyUnavailable("kafka")
        try:
            yield
        except DependencyUnavailable:
            self._is_away = True
            raise
        else:
            self._is_away = False
        finally:
            if is_trial:
                self._trying.release()

    @contextmanager
    def _a_turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise DependencyUnavailable("kafka", "does not keep up with those who wait for it")
        try:
            yield
        finally:
            self._turns.release()

    def _ready_sender(self) -> "_Sender":
        with self._making:
            if self._sender is not None and self._sender.is_broken:
                self._sender.close(0)
                self._sender = None
            if self._sender is None:
                self._sender = _Sender(self._settings)
            return self._sender


class _Sender:
    """A producer, and the thread that hears its reports."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.events_topic
        self._said = LastError()
        self._producer: Producer = producer(settings, delivery_seconds=settings.ingest_wait_seconds, on_error=self._said.record)
        self.is_broken = False  # by an error after which a producer never sends again
        self._ended = Event()
        # A daemon: should the process end without closing, nobody waits for reports any more.
        self._hearing = Thread(target=self._hear, name="kafka-reports", daemon=True)
        self._hearing.start()

    def deliver(self, records: Sequence[LogRecord], seconds: float) -> None:
        """Return when all records have arrived. Raises DependencyUnavailable when in so many seconds one has not."""
        delivery = _Delivery(len(records))
        with self._said.raised_from(self._producer):
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
        except BufferError as error:  # not to be expected: those who wait are few, and so is what they sent
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from error

    def ping(self) -> None:
        with self._said.raised_from(self._producer):
            found = self._producer.list_topics(self._topic, timeout=PING_SECONDS).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)

    def close(self, seconds: float) -> None:
        self._ended.set()
        self._hearing.join()
        if left := self._producer.flush(seconds):
            _log.warning("%d events were not confirmed; whoever sent them was told so", left)

    def _hear(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(POLL_SECONDS)


class _Delivery:
    """The reports on what one caller sent. They may be heard by any thread."""

    def __init__(self, records: int) -> None:
        self._lock = Lock()
        self._missing = records
        self._failure: KafkaError | None = None
        self._is_done = Event()

    def report(self, error: KafkaError | None, _message: Message) -> None:
        """What became of a record."""
        with self._lock:
            self._failure = error or self._failure
            self._missing -= 1
            if not self._missing:
                self._is_done.set()

    def wait(self, seconds: float) -> None:
        """Return when all have arrived. Raises KafkaException when one did not, or in so many seconds is not known to have."""
        if not self._is_done.wait(seconds):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if self._failure is not None:
            raise KafkaException(self._failure)
