"""Verify a trail while others go on writing to it, or trimming it."""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from app.audit.chain import Head
from app.audit.inspect_chain import Inspection
from app.audit.trail import AuditTrail, Ends, StreamEntry
from app.errors import DependencyUnavailable

MAX_FINDINGS = 1000  # of a trail; whoever has so many needs no more
ATTEMPTS = 5  # trims come once a day, some in a row where there is much to do


class TrailVerdict(NamedTuple):
    """What was found in a trail, and where it ended when that was looked for (None: that is not to be told any more)."""

    trail: str
    entries: int
    head: Head | None
    findings: list[str]


def verify_trail(trail: str, *, trails: AuditTrail, expected: Collection[Head] = ()) -> TrailVerdict:
    """Go through a trail from its anchor to the head that it has now; nothing of it is kept in memory.

    ``expected`` are heads that were noted earlier, elsewhere: each must still be in the trail, or have been trimmed since.
    Raises DependencyUnavailable, also while so much is trimmed that what is missing cannot be told from it.
    """
    for _attempt in range(ATTEMPTS):
        ends = trails.ends(trail)
        verdict = _inspect(trail, ends, trails, expected)
        if not verdict.findings or trails.ends(trail).anchor == ends.anchor:
            return verdict
    raise DependencyUnavailable("audit trail", "is being trimmed")


def _inspect(trail: str, ends: Ends, trails: AuditTrail, expected: Collection[Head]) -> TrailVerdict:
    records: Iterable[StreamEntry] = trails.oldest_first(trail, ends.last_id) if ends.last_id else ()
    inspection = Inspection(trails.chain(trail), ends.anchor, expected)
    findings = list(islice(inspection.findings(records, ends.head), MAX_FINDINGS))
    return TrailVerdict(trail, inspection.entries, ends.head, findings)
