"""Removes expired entries of a trail. The anchor distinguishes this from tampering."""

from datetime import datetime
from typing import NamedTuple

from app.audit.chain import Head
from app.audit.entry import WORKER, Channel, Details, SystemAction, entry, timestamp
from app.audit.trail import AuditTrail
from app.errors import EngineError

TRIM_AT_ONCE = 20_000  # entries: two milliseconds of Redis


class TrailDamaged(EngineError):
    """The oldest entries are not as the engine wrote them. They are kept as evidence."""


def trim_trail(trail: str, older_than: datetime, *, trails: AuditTrail, now: datetime) -> int:
    """Remove up to ``TRIM_AT_ONCE`` entries from before a moment, after appending an entry that records it.

    Only authentic entries in an unbroken chain are removed. Their age is that of the sealed timestamp, since the ids of stream
    records are not sealed. Raises DependencyUnavailable when Redis does not answer.

    Returns:
        The number of removed entries.

    Raises:
        TrailDamaged: The anchor or the oldest entries are not as the engine wrote them.
    """
    noted = trails.ends(trail).anchor
    if noted is None:
        raise TrailDamaged("the anchor of an audit trail was forged; nothing is trimmed")
    anchor = noted.removed
    old = _find_old(trail, timestamp(older_than), anchor, trails)
    if old is None:
        return 0
    count = old.last.sequence - anchor.sequence
    details: Details = {"entries": count, "until": old.last.sequence}
    trails.append(trail, entry(now, Channel.TASK, WORKER, SystemAction.TRIM_AUDIT, details=details))
    return count if trails.trim(trail, anchor, old.last, old.record_id) else 0


class _Old(NamedTuple):
    """The last entry to remove, and the id of its record."""

    last: Head
    record_id: str


def _find_old(trail: str, limit: str, anchor: Head, trails: AuditTrail) -> _Old | None:
    """The last of up to ``TRIM_AT_ONCE`` entries made before ``limit``. Raises TrailDamaged."""
    chain, last, found = trails.chain(trail), anchor, None
    for record_id, fields in trails.oldest_first(trail):
        sealed = chain.open(fields)
        if sealed is None or sealed.previous != last.mac or sealed.entry.sequence != last.sequence + 1:
            raise TrailDamaged(f"an audit trail is damaged after entry {last.sequence}; nothing of it is trimmed")
        if sealed.entry.at >= limit or last.sequence - anchor.sequence == TRIM_AT_ONCE:
            break
        last = sealed.head
        found = _Old(last, record_id)
    return found
