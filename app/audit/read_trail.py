"""Finds entries of a trail, newest first, in bounded pages."""

from dataclasses import dataclass

from app.audit.entry import Entry
from app.audit.trail import AuditTrail

SCAN_LIMIT = 5000  # records read per call: about 30 ms
PAGE = 500


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """Selects the entries that match all given fields.

    ``whose`` are the pseudonyms of a student; ``since`` (inclusive) and ``until`` (exclusive) have the format of
    ``entry.timestamp``.
    """

    whose: frozenset[str] | None = None
    who: str | None = None
    role: str | None = None
    action: str | None = None
    outcome: str | None = None
    correlation_id: str | None = None
    since: str | None = None
    until: str | None = None

    def matches(self, entry: Entry) -> bool:
        """Whether the filter selects this entry."""
        if self.whose is not None and not entry.is_about(self.whose):
            return False
        if self.since is not None and entry.at < self.since:
            return False
        if self.until is not None and entry.at >= self.until:
            return False
        same = ("who", "role", "action", "outcome", "correlation_id")
        return all(getattr(self, name) in {None, getattr(entry, name)} for name in same)


@dataclass
class Found:
    """One page of entries. ``damaged`` counts skipped records that the engine did not write.

    ``cursor`` is the position of the next page; None if there are no older entries.
    """

    entries: list[Entry]
    damaged: int = 0
    cursor: str | None = None


def read_trail(trail: str, wanted: EntryFilter, *, trails: AuditTrail, limit: int, cursor: str = "") -> Found:
    """Find up to ``limit`` entries older than the cursor, in at most ``SCAN_LIMIT`` records. Raises DependencyUnavailable.

    Returns:
        The page, with the cursor of the next one. It may have fewer entries than ``limit``, and still a cursor.
    """
    found, chain, position = Found([]), trails.chain(trail), cursor
    for _page in range(SCAN_LIMIT // PAGE):
        records = trails.newest_first(trail, position, PAGE)
        for position, fields in records:
            sealed = chain.open(fields)
            if sealed is None:
                found.damaged += 1
            elif wanted.matches(sealed.entry):
                found.entries.append(sealed.entry)
                if len(found.entries) == limit:
                    found.cursor = position
                    return found
        if len(records) < PAGE:
            return found
    found.cursor = position
    return found
