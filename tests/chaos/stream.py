"""The stream: a producer that continues through every outage until each record has been delivered once."""

import logging
from collections.abc import Sequence
from functools import partial
from threading import Event as Flag
from threading import Thread
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from consumers.kafka.lag import Lag
from tests.chaos.records import SentRecord

TICK_RECORDS = 100  # between two checks of the clock
LOOK_RECORDS = 1_000  # between two checks of the lag, which take a few milliseconds
# A tenth of the 5 MB that the embedded broker keeps of each of its four partitions: the rest is reserved for
# records that are read again because their effect was lost.
MOST_UNREAD = 6_000
RETRY_SECONDS = 0.1
DELIVERY_SECONDS = 300  # longer than any outage here: until then librdkafka resends a record, and the broker drops duplicates

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """The position of a record in the events topic."""

    partition: int
    offset: int


class Stream(Thread):
    """Produces records at a given rate, up to the allowed number, and no faster than the bridge reads them."""

    def __init__(self, engine: Engine, records: Sequence[SentRecord], rate: float) -> None:
        super().__init__(daemon=True)
        self.produced = 0
        self.places: dict[int, Place] = {}  # by the record's index
        self.errors: list[str] = []
        self._engine = engine
        self._records = records
        self._rate = rate
        self._limit = 0
        self._stopped = Flag()

    def allow(self, count: int) -> None:
        """Allow it to produce this many records in total."""
        self._limit = count

    @property
    def is_delivered(self) -> bool:
        """Whether every record was delivered."""
        return len(self.places) == len(self._records)

    def stop(self) -> None:
        """Stop producing, whatever is left."""
        self._stopped.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Produce all records, then wait for the deliveries."""
        producer = Producer(
            {
                "bootstrap.servers": self._engine.settings.kafka_bootstrap,
                "enable.idempotence": True,
                "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
                "reconnect.backoff.max.ms": 1_000,
                "linger.ms": 5,
            },
            logger=_log,
        )
        lag = Lag(self._engine)
        try:
            for index, record in enumerate(self._records):
                if index % LOOK_RECORDS == 0:
                    self._wait_for_the_bridge(producer, lag)
                if index % TICK_RECORDS == 0:
                    producer.poll(TICK_RECORDS / self._rate)
                self._wait_for_leave(producer, index)
                if self._stopped.is_set():
                    return
                self._produce(producer, index, record)
            while len(producer) and not self._stopped.is_set():
                producer.flush(1)
        finally:
            lag.close()

    def _produce(self, producer: Producer, index: int, record: SentRecord) -> None:
        producer.produce(
            self._engine.settings.events_topic, value=record.value, key=record.key, on_delivery=partial(self._delivered, index)
        )
        self.produced = index + 1

    def _delivered(self, index: int, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None or partition is None or offset is None:
            self.errors.append(f"record {index}: {error}")
        else:
            self.places[index] = Place(partition, offset)

    def _wait_for_leave(self, producer: Producer, index: int) -> None:
        while index >= self._limit and not self._stopped.is_set():
            producer.poll(RETRY_SECONDS)

    def _wait_for_the_bridge(self, producer: Producer, lag: Lag) -> None:
        while not self._stopped.is_set():
            try:
                if lag.records() <= MOST_UNREAD:
                    return
            except DependencyUnavailable:
                pass  # unknown while the broker or Valkey is unavailable
            producer.poll(RETRY_SECONDS)
