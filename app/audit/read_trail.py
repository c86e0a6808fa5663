"""Find entries of a trail, the newest first, a bounded number of them at a time."""

from dataclasses import dataclass

from app.audit.entry import Entry
from app.audit.trail import AuditTrail

SCAN_LIMIT = 5000  # records looked at for one answer: some 30 ms
PAGE = 500


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """Which entries are meant: those to which everything given applies.

    ``whose`` are the pseudonyms of a student; ``since`` and ``until`` (not included) are as ``entry.timestamp`` makes them.
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
        """Whether this entry is meant."""
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
    """The entries of one answer. ``damaged`` records, not as the engine wrote them, were met among them and left out.

    ``cursor`` is where to go on; None: there is nothing older.
    """

    entries: list[Entry]
    damaged: int = 0
    cursor: str | None = None


def read_trail(trail: str, wanted: EntryFilter, *, trails: AuditTrail, limit: int, cursor: str = "") -> Found:
    """Up to ``limit`` entries that are wanted, older than the cursor; fewer if SCAN_LIMIT records were looked at for them.

    Raises DependencyUnavailable.
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
