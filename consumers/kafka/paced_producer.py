"""Feed events to the topic no faster than the bridge takes them, and wait until they are recorded.

The embedded broker keeps only the newest 5 MB of a partition, so whoever produces to it in bulk paces itself by the lag.
"""

import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException, Message

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from consumers.kafka.clients import producer
from consumers.kafka.lag import Lag

# Half of what the embedded broker keeps of one partition, in case all events share one.
MAX_UNREAD_BYTES = 2_500_000
CHECK_EVERY_EVENTS, CHECK_EVERY_BYTES = 500, 1_000_000
CHECKS_A_SECOND = 10  # with a rate: so evenly are its events spread over each second
POLL_SECONDS = 0.02
FLUSH_SECONDS = 10.0
STALLED_SECONDS = 120.0  # no progress for so long: something is broken, and waiting on would hide it


def produce_paced(
    engine: Engine,
    records: Iterable[tuple[bytes | None, bytes]],
    *,
    rate: int | None = None,
    sent: Callable[[int], None] = lambda _count: None,
) -> int:
    """Produce records (key, value) to the events topic. Returns how many; ``sent`` hears of progress.

    Raises DependencyUnavailable when the broker does not take one, or the bridge stops taking them.
    """
    settings = engine.settings
    pace = _Pace(engine, rate)
    errors: list[KafkaError] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    out = producer(settings)
    count = told = 0
    try:
        for count, (key, value) in enumerate(records, start=1):
            out.produce(settings.events_topic, value=value, key=key, on_delivery=report)
            out.poll(0)
            if pace.is_due(len(value)):
                out.flush(FLUSH_SECONDS)
                sent(count - told)
                told = count
                pace.wait()
        sent(count - told)
        if out.flush(FLUSH_SECONDS) or errors:
            raise DependencyUnavailable("kafka") from (KafkaException(errors[0]) if errors else None)
    except (BufferError, KafkaException) as error:
        raise DependencyUnavailable("kafka") from error
    finally:
        pace.close()
    return count


class LagLimiter:
    """Holds a producer back while the bridge is far behind. Raises DependencyUnavailable when it takes nothing or is halted."""

    def __init__(self, engine: Engine) -> None:
        self._lag = Lag(engine)
        self._require_not_halted = engine.bridges.require_not_halted
        self._bytes = self._unchecked_bytes = 0
        self.events = 0

    def count(self, events: int, size: int) -> None:
        """So many events of so many bytes together were sent."""
        self.events += events
        self._bytes += size
        self._unchecked_bytes += size

    def is_due(self) -> bool:
        """Whether so much was sent since the last look that it is time for another."""
        return self._unchecked_bytes >= CHECK_EVERY_BYTES

    def wait(self) -> None:
        """Return when more may be sent."""
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
        """Count what was sent, and wait if it is time to look."""
        self.count(events, size)
        if self.is_due():
            self.wait()

    def close(self) -> None:
        """Let the connection go."""
        self._lag.close()


class _Pace:
    """Holds a producer back to the rate, and to what the bridge takes."""

    def __init__(self, engine: Engine, rate: int | None) -> None:
        self._limiter = LagLimiter(engine)
        self._rate = rate
        self._check_every = max(1, rate // CHECKS_A_SECOND) if rate else CHECK_EVERY_EVENTS
        self._began = time.monotonic()

    def is_due(self, size: int) -> bool:
        """Count an event of so many bytes; true when it is time to look."""
        self._limiter.count(1, size)
        return self._limiter.events % self._check_every == 0 or self._limiter.is_due()

    def wait(self) -> None:
        """Return when more may be sent."""
        if self._rate:
            time.sleep(max(0.0, self._began + self._limiter.events / self._rate - time.monotonic()))
        self._limiter.wait()

    def close(self) -> None:
        """Let the connection go."""
        self._limiter.close()


def count_recorded(engine: Engine) -> int:
    """How many events have come to their end so far: applied, duplicate, expired or dead-lettered."""
    ended = sum(sum(engine.event_totals.of(tenant)) for tenant in engine.mastery.tenants.all())
    return ended + sum(engine.ledger.counts().dead_letters.values())


def wait_for_progress(
    reached: Callable[[], bool],
    progress: Callable[[], int],
    who: str,
    what: str,
    require_possible: Callable[[], None] = lambda: None,
) -> None:
    """Wait until something is reached.

    Raises DependencyUnavailable(who, what) when nothing progresses for two minutes, and what ``require_possible`` raises.
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
