"""Remove entries that are too old, in a way that nobody could take for tampering, or tampering for it."""

from datetime import datetime
from typing import NamedTuple

from app.audit.chain import Head
from app.audit.entry import WORKER, Channel, Details, SystemAction, entry, timestamp
from app.audit.trail import AuditTrail
from app.errors import EngineError

TRIM_AT_ONCE = 20_000  # entries: two milliseconds of Redis


class TrailDamaged(EngineError):
    """The oldest entries are not as the engine wrote them. They are evidence, and stay."""


def trim_trail(trail: str, older_than: datetime, *, trails: AuditTrail, now: datetime) -> int:
    """Remove the entries made before a moment, the oldest TRIM_AT_ONCE of them; returns how many. An entry says so beforehand.

    Only what is authentic and unbroken is removed, by the time in the entries: the ids of records, which are not sealed, do not
    count. Raises TrailDamaged, and DependencyUnavailable.
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
    """The last entry that is too old, and where it is."""

    last: Head
    record_id: str


def _find_old(trail: str, limit: str, anchor: Head, trails: AuditTrail) -> _Old | None:
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
