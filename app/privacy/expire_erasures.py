"""Forgets erasures when no event can be so old any more."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from app.clock import microseconds
from app.mastery.stores import MasteryStores

# Events count by whole days, and the clocks of processes may differ.
MARGIN = timedelta(days=2)


def expire_erasures(*, stores: MasteryStores, now: datetime) -> Iterator[int]:
    """Forget the erasures of all tenants from before the retention. An abandoned iteration is continued by a new one.

    Yields:
        After each step, the number of forgotten erasures.
    """
    until = microseconds(now - timedelta(days=stores.facts.retention_days) - MARGIN)
    for tenant in stores.tenants.all():
        yield from stores.facts.admit_again(tenant, until)
