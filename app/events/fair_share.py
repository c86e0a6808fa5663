"""Detects tenants that exceed their share of throughput; their events go to the bulk lane. See docs/decisions/0018."""

from collections.abc import Mapping

# Bounds the memory, at 100 bytes per tenant: senders choose the names.
MAX_TENANTS = 10_000


class FairShare:
    """A token bucket per tenant, with the rate ``events_per_second`` and a burst of one second.

    In memory of one bridge; a restart refills all buckets. Not thread-safe.
    """

    def __init__(self, events_per_second: int) -> None:
        self._rate = events_per_second
        self._used: dict[str, tuple[float, float]] = {}  # tenant → (tokens used, when updated), least recently active first

    def exceeded_by(self, events: Mapping[str, int], now: float) -> set[str]:
        """Count the events of each tenant in a read. ``now`` is monotonic, in seconds.

        Returns:
            The tenants above their share. That applies to all of their events of the read, so a read makes at most two chunks.
        """
        exceeding = set()
        for tenant, count in events.items():
            used, at = self._used.pop(tenant, (0.0, now))
            used = max(0.0, used - self._rate * (now - at)) + count
            if used > self._rate:
                exceeding.add(tenant)
            self._used[tenant] = (min(used, 2.0 * self._rate), now)
        while len(self._used) > MAX_TENANTS:  # forget those that have sent nothing for longest
            del self._used[next(iter(self._used))]
        return exceeding
