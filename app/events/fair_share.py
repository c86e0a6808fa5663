"""Which tenants send so much just now that their events go to the bulk lane, behind nobody else's. See docs/decisions/0018."""

from collections.abc import Mapping

# Tenants that are kept in mind, 100 bytes each. The names are the senders' choice.
MAX_TENANTS = 10_000


class FairShare:
    """A token bucket for each tenant: it fills with ``events_per_second``, and holds those of one second.

    For one bridge, in its memory: a restart favours everybody for a second. Not thread-safe.
    """

    def __init__(self, events_per_second: int) -> None:
        self._rate = events_per_second
        self._used: dict[str, tuple[float, float]] = {}  # by tenant: tokens that were taken out, and when that was

    def exceeded_by(self, events: Mapping[str, int], now: float) -> set[str]:
        """Count what each tenant sent; returns those that sent more than their share. ``now`` in seconds, never going back.

        A tenant is above its share with all of its events of a read or with none: a read becomes two chunks at most. One that
        stops is within its share again after a second.
        """
        if len(self._used) > MAX_TENANTS:
            self._used.clear()  # in their favour, for a second
        exceeding = set()
        for tenant, count in events.items():
            used, at = self._used.get(tenant, (0.0, now))
            used = max(0.0, used - self._rate * (now - at)) + count
            if used > self._rate:
                exceeding.add(tenant)
            self._used[tenant] = (min(used, 2.0 * self._rate), now)
        return exceeding
