"""Verifies a trail while other processes append to it or trim it."""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from app.audit.chain import Head
from app.audit.inspect_chain import Inspection
from app.audit.trail import AuditTrail, Ends, StreamEntry
from app.errors import DependencyUnavailable

MAX_FINDINGS = 1000  # per trail; further ones add no information
ATTEMPTS = 5  # trims run once a day, several in a row if there is much to remove


class TrailVerdict(NamedTuple):
    """The result of verifying a trail. ``head`` is the stored head at that time; None if it is invalid."""

    trail: str
    entries: int
    head: Head | None
    findings: list[str]


def verify_trail(trail: str, *, trails: AuditTrail, expected: Collection[Head] = ()) -> TrailVerdict:
    """Verify a trail from its anchor to its current head, in constant memory.

    ``expected`` are heads exported earlier: each must still be in the trail, or have been trimmed.

    Returns:
        The verdict, with up to ``MAX_FINDINGS`` findings.

    Raises:
        DependencyUnavailable: Redis does not answer, or concurrent trims cannot be distinguished from missing entries.
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
