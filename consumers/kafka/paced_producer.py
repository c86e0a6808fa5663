"""Produces events no faster than the bridge takes them, and waits until they are recorded.

The embedded broker keeps only the newest 5 MB of a partition, so bulk producers must limit the lag.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import closing

from confluent_kafka import KafkaException

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from consumers.kafka.clients import LastError, producer
from consumers.kafka.delivery import Content, paced_batches, produce
from consumers.kafka.lag import Lag

# Half of what the embedded broker keeps of one partition, in case all events go to the same one.
MAX_UNREAD_BYTES = 2_500_000
CHECK_EVERY_BYTES = 500_000
POLL_SECONDS = 0.02
STALLED_SECONDS = 120.0  # without progress; then fail, as something is broken


def produce_paced(
    engine: Engine,
    records: Iterable[tuple[bytes | None, bytes]],
    *,
    rate: int | None = None,
    sent: Callable[[int], None] = lambda _newly_sent: None,
) -> int:
    """Produce records (key, value), paced by the bridge. Returns how many. Raises DependencyUnavailable if it takes no more."""
    last_error = LastError()
    out = producer(engine.settings, on_error=last_error.record)
    count = 0
    with closing(LagLimiter(engine)) as limiter:
        for batch in paced_batches(records, lambda record: len(record[1]), rate):
            messages: list[Content] = [(key, value, []) for key, value in batch]
            with last_error.raised_from(out):
                if errors := produce(out, engine.settings.events_topic, messages):
                    raise KafkaException(next(iter(errors.values())))
            count += len(batch)
            sent(len(batch))
            limiter.hold_back(len(batch), sum(len(value) for _, value in batch))
    return count


class LagLimiter:
    """Blocks a producer while the lag is too large. Raises DependencyUnavailable when the bridge takes nothing or is halted."""

    def __init__(self, engine: Engine) -> None:
        self._lag = Lag(engine)
        self._require_not_halted = engine.bridges.require_not_halted
        self._events = self._bytes = self._unchecked_bytes = 0

    def hold_back(self, events: int, size: int) -> None:
        """Count sent events and their total bytes, and wait if a check of the lag is due."""
        self._events += events
        self._bytes += size
        self._unchecked_bytes += size
        if self._unchecked_bytes < CHECK_EVERY_BYTES:
            return
        self._unchecked_bytes = 0
        allowed = MAX_UNREAD_BYTES * self._events // self._bytes
        wait_for_progress(
            lambda: self._lag.records() <= allowed,
            self._lag.records,
            "the bridge",
            "takes no events",
            self._require_not_halted,
        )

    def close(self) -> None:
        """Close the connection."""
        self._lag.close()


def count_recorded(engine: Engine) -> int:
    """The number of events processed so far: applied, duplicate, expired, refused or dead-lettered."""
    recorded = sum(sum(engine.event_totals.of(tenant)) for tenant in engine.mastery.tenants.all())
    return recorded + sum(engine.ledger.counts().dead_letters.values())


def wait_for_progress(
    reached: Callable[[], bool],
    progress: Callable[[], int],
    who: str,
    what: str,
    require_possible: Callable[[], None] = lambda: None,
) -> None:
    """Wait until a condition holds.

    Args:
        reached: the condition.
        progress: a number that changes while there is progress.
        who: what is waited for, the subject of the error message.
        what: the rest of the error message.
        require_possible: raises if waiting is pointless.

    Raises:
        DependencyUnavailable: no progress for ``STALLED_SECONDS``.
    """
    last, since = progress(), time.monotonic()
    while not reached():
        require_possible()
        time.sleep(POLL_SECONDS)
        now = progress()
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > STALLED_SECONDS:
            raise DependencyUnavailable(who, what)
