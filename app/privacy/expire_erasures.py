"""Forgets erasures when no event can be so old any more."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from app.clock import microseconds
from app.mastery.stores import MasteryStores

# Events count by whole days, and the clocks of processes may differ.
MARGIN = timedelta(days=2)


def forgotten_until(now: datetime, retention_days: int) -> int:
    """Erasures up to this moment are forgotten: microseconds since 1970-01-01."""
    return microseconds(now - timedelta(days=retention_days) - MARGIN)


def expire_erasures(*, stores: MasteryStores, now: datetime) -> Iterator[int]:
    """Forget the erasures of all tenants from before the retention. An abandoned iteration is continued by a new one.

    Yields:
        After each step, the number of forgotten erasures.
    """
    until = forgotten_until(now, stores.facts.retention_days)
    for tenant in stores.tenants.all():
        yield from stores.facts.admit_again(tenant, until)
