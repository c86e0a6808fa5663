"""Produces events no faster than the bridge takes them, and waits until they are recorded.

The embedded broker keeps only the newest 5 MB of a partition, so bulk producers must limit the lag.
"""

import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException, Message

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from consumers.kafka.clients import producer
from consumers.kafka.lag import Lag

# Half of what the embedded broker keeps of one partition, in case all events go to the same one.
MAX_UNREAD_BYTES = 2_500_000
CHECK_EVERY_EVENTS, CHECK_EVERY_BYTES = 500, 1_000_000
CHECKS_A_SECOND = 10  # with a rate limit: how evenly events are spread over a second
POLL_SECONDS = 0.02
FLUSH_SECONDS = 10.0
STALLED_SECONDS = 120.0  # without progress; then fail, as something is broken


def produce_paced(
    engine: Engine,
    records: Iterable[tuple[bytes | None, bytes]],
    *,
    rate: int | None = None,
    sent: Callable[[int], None] = lambda _newly_sent: None,
) -> int:
    """Produce records (key, value), paced by the bridge. Returns how many. Raises DependencyUnavailable if it takes no more."""
    settings = engine.settings
    pace = _Pace(engine, rate)
    errors: list[KafkaError] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    out = producer(settings)
    count = reported = 0
    try:
        for count, (key, value) in enumerate(records, start=1):
            out.produce(settings.events_topic, value=value, key=key, on_delivery=report)
            out.poll(0)
            if pace.is_due(len(value)):
                out.flush(FLUSH_SECONDS)
                sent(count - reported)
                reported = count
                pace.wait()
        sent(count - reported)
        if out.flush(FLUSH_SECONDS) or errors:
            raise DependencyUnavailable("kafka") from (KafkaException(errors[0]) if errors else None)
    except (BufferError, KafkaException) as error:
        raise DependencyUnavailable("kafka") from error
    finally:
        pace.close()
    return count


class LagLimiter:
    """Blocks a producer while the lag is too large. Raises DependencyUnavailable when the bridge takes nothing or is halted."""

    def __init__(self, engine: Engine) -> None:
        self._lag = Lag(engine)
        self._require_not_halted = engine.bridges.require_not_halted
        self._bytes = self._unchecked_bytes = 0
        self.events = 0

    def count(self, events: int, size: int) -> None:
        """Count sent events and their total bytes."""
        self.events += events
        self._bytes += size
        self._unchecked_bytes += size

    def is_due(self) -> bool:
        """Whether enough bytes were sent since the last check of the lag."""
        return self._unchecked_bytes >= CHECK_EVERY_BYTES

    def wait(self) -> None:
        """Block until more may be sent."""
        self._unchecked_bytes = 0
        allowed = MAX_UNREAD_BYTES * self.events // self._bytes
        wait_for_progress(
            lambda: self._lag.records() <= allowed,
            self._lag.records,
            "the bridge",
            "takes no events",
            self._require_not_halted,
        )

    def hold_back(self, events: int, size: int) -> None:
        """Count sent events, and wait if a check of the lag is due."""
        self.count(events, size)
        if self.is_due():
            self.wait()

    def close(self) -> None:
        """Close the connection."""
        self._lag.close()


class _Pace:
    """Limits a producer to the rate and to the bridge's throughput."""

    def __init__(self, engine: Engine, rate: int | None) -> None:
        self._limiter = LagLimiter(engine)
        self._rate = rate
        self._check_every = max(1, rate // CHECKS_A_SECOND) if rate else CHECK_EVERY_EVENTS
        self._began = time.monotonic()

    def is_due(self, size: int) -> bool:
        """Count an event of ``size`` bytes. Returns whether a check is due."""
        self._limiter.count(1, size)
        return self._limiter.events % self._check_every == 0 or self._limiter.is_due()

    def wait(self) -> None:
        """Block until more may be sent."""
        if self._rate:
            time.sleep(max(0.0, self._began + self._limiter.events / self._rate - time.monotonic()))
        self._limiter.wait()

    def close(self) -> None:
        """Close the connection."""
        self._limiter.close()


def count_recorded(engine: Engine) -> int:
    """The number of events processed so far: applied, duplicate, expired or dead-lettered."""
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
