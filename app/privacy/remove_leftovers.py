"""Removes what would outlive the retention: what neither expires by itself nor is removed by the store's own task."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from app.events.ledger import Ledger
from app.health.malformed_messages import MalformedMessages
from app.health.removal_counts import Removed
from app.mastery.outbox import Outbox
from app.mastery.stores import MasteryStores
from app.privacy.expire_erasures import expire_erasures

# Entries of a stream per step: at most 0.5 MB, a few milliseconds.
ENTRIES_PER_STEP = 100

_log = logging.getLogger(__name__)


class LeftoverStores(NamedTuple):
    """The stores whose content may wait for longer than the retention."""

    mastery: MasteryStores
    outbox: Outbox
    ledger: Ledger
    malformed_messages: MalformedMessages


def remove_leftovers(stores: LeftoverStores, *, now: datetime) -> Iterator[tuple[Removed, int]]:
    """Remove changes and dead letters that Kafka did not take for a retention, old malformed messages and old erasures.

    An abandoned iteration is continued by a new one.

    Yields:
        After each step that removed something: what, and how many.
    """
    limit = now - timedelta(days=stores.mastery.facts.retention_days)
    for count in expire_erasures(stores=stores.mastery, now=now):
        yield Removed.ERASURES, count
    for tenant in stores.mastery.tenants.all():
        for count in _changes(tenant, stores.outbox, limit):
            yield Removed.CHANGES, count
    for count in _letters(stores.ledger, limit):
        yield Removed.DEAD_LETTERS, count
    if count := stores.malformed_messages.expire(now):
        yield Removed.MALFORMED_MESSAGES, count


def _changes(tenant: str, outbox: Outbox, limit: datetime) -> Iterator[int]:
    """Remove the entries of a tenant that were added before a moment, oldest first. They will not be published."""
    while old := [each for each in outbox.read([tenant], ENTRIES_PER_STEP).get(tenant, []) if each.at < limit]:
        _log.error("changes were not published within the retention and are removed: %d entries", len(old))
        outbox.acknowledge(tenant, old[-1].entry_id)
        yield len(old)


def _letters(ledger: Ledger, limit: datetime) -> Iterator[int]:
    """Remove the dead letters that were added before a moment, oldest first. They will not be delivered."""
    milliseconds = limit.timestamp() * 1000
    while old := [each for each in ledger.waiting_letters(ENTRIES_PER_STEP) if _milliseconds(each.entry_id) < milliseconds]:
        _log.error("dead letters were not delivered within the retention and are removed: %d", len(old))
        ledger.letters_delivered(old[-1].entry_id, "", {})
        yield len(old)


def _milliseconds(entry_id: str) -> int:
    """When an entry was added to its stream: Unix time by the server's clock."""
    return int(entry_id.partition("-")[0])
