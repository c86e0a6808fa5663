"""Finds damage in a trail from its ordered records and its expected ends. Pure functions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from app.audit.chain import Anchor, Chain, Head, Sealed
from app.audit.entry import timestamp

# After the first entry sealed with the current key, the previous key remains valid for this long, since processes are restarted
# one after the other. Later entries with the previous key are forged.
KEY_OVERLAP = timedelta(hours=1)


class Inspection:
    """Verifies the records of a trail, oldest first, and counts them.

    An authentic record was sealed by the engine for this trail. It is out of order if its sequence does not exceed those before
    it, or if it does not link to the record before it. Skipped sequences are missing. Each record that is not authentic takes
    one sequence, which is reported as altered, not missing. ``expected`` are earlier heads of the trail: each must be in it, or
    have been trimmed.
    """

    def __init__(self, chain: Chain, anchor: Anchor | None, expected: Collection[Head] = ()) -> None:
        self._chain = chain
        self._anchor = anchor
        self._last = anchor.removed if anchor else Head()
        self._strangers = 0  # records since the last authentic one
        self._missing = {each for each in expected if each.sequence >= self._last.sequence} - {self._last}
        self._handover = _Handover(anchor)
        self.entries = 0

    def findings(self, records: Iterable[tuple[str, Mapping[bytes, bytes]]], head: Head | None) -> Iterator[str]:
        """Each problem, with its place. ``head`` is the stored head; None if it is invalid."""
        if self._anchor is None:
            yield "the anchor, which says up to where entries were trimmed, was forged"
        for record_id, fields in records:
            self.entries += 1
            sealed = self._chain.open(fields)
            if sealed is None:
                self._strangers += 1
                place = self._last.sequence + self._strangers
                yield f"the record in the place of entry {place} ({record_id}) was altered or forged"
            else:
                yield from self._follow(record_id, sealed)
        yield from self._end(head)
        yield from self._unmet()

    def _follow(self, record_id: str, sealed: Sealed) -> Iterator[str]:
        sequence, last = sealed.entry.sequence, self._last
        self._missing.discard(sealed.head)
        if sequence <= last.sequence:
            yield f"entry {sequence} ({record_id}) stands in the wrong place, after entry {last.sequence}"
            return
        yield from self._handover.findings(record_id, sealed)
        if missing := _span(last.sequence + 1 + self._strangers, sequence - 1):
            yield f"{missing} missing, before {record_id}"
        elif sequence == last.sequence + 1 and sealed.previous != last.mac:
            yield f"entry {sequence} ({record_id}) does not follow from entry {last.sequence}: one of them is of another time"
        self._last, self._strangers = sealed.head, 0

    def _end(self, head: Head | None) -> Iterator[str]:
        last = self._last
        if head is None:
            yield "the head, which says where the trail ends, was altered"
        elif head == Head() and not (self.entries or last.sequence):
            yield "the trail is gone"
        elif head == Head():
            yield "the head, which says where the trail ends, is gone"
        elif missing := _span(last.sequence + 1 + self._strangers, head.sequence):
            yield f"the newest {missing} missing"
        elif head.sequence < last.sequence:
            yield f"the head was set back to entry {head.sequence}; the trail goes on to entry {last.sequence}"
        elif head.sequence == last.sequence and head.mac != last.mac:
            yield f"the head is not that of entry {last.sequence}: it was altered"

    def _unmet(self) -> Iterator[str]:
        if self._missing:
            first, *later = sorted(self._missing)
            more = f" (nor are {len(later)} later ones)" if later else ""
            yield f"the expected head {first} is not in the trail{more}: it was rolled back, or is another one"


class _Handover:
    """A key rotation: detects entries that were sealed with the previous key too late."""

    def __init__(self, anchor: Anchor | None) -> None:
        self._previous_anchor = anchor is not None and anchor.by_previous
        self._ends: str | None = None  # end of the overlap, as an entry's timestamp
        self._has_ended = False

    def findings(self, record_id: str, sealed: Sealed) -> Iterator[str]:
        # An anchor of the previous key implies that the next entry is of the previous key too.
        if self._previous_anchor and not sealed.by_previous:
            yield "the anchor is sealed with the previous key, and what follows it is not: it was forged"
        self._previous_anchor = False
        if self._ends is None and not sealed.by_previous:
            self._ends = timestamp(datetime.fromisoformat(sealed.entry.at) + KEY_OVERLAP)
        is_late = self._ends is not None and sealed.entry.at >= self._ends
        if sealed.by_previous and (is_late or self._has_ended):
            place = f"entry {sealed.entry.sequence} ({record_id})"
            yield f"{place} is sealed with the previous key, long after the current one came into use: it was forged"
        self._has_ended |= is_late and not sealed.by_previous


def _span(first: int, last: int) -> str:
    """Text for a range of entries, including the verb; empty for an empty range."""
    if first > last:
        return ""
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
