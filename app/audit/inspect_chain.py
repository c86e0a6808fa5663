"""What is wrong with a trail, from its records in order and the ends that it must have. Computes from values only."""

from collections.abc import Iterable, Iterator, Mapping

from app.audit.chain import Chain, Head, Sealed


class Inspection:
    """Goes through the records of a trail, the oldest first; afterwards it knows where the trail ends and how long it is.

    A record that is authentic was sealed by the engine for this trail. It is out of order if its number is not above those
    before it, or if it does not link to the one before it; numbers that are skipped are missing. Each record in between that is
    not authentic stands for one number, which is altered rather than missing.
    """

    def __init__(self, chain: Chain, anchor: Head | None, expected: Head | None = None) -> None:
        self._chain = chain
        self._anchor = anchor
        self._expected = expected
        self._last = anchor or Head()
        self._strangers = 0  # records since the last authentic one
        self._meets_expectation = expected is None or expected.sequence < self._last.sequence or expected == self._last
        self.entries = 0

    def findings(self, records: Iterable[tuple[str, Mapping[bytes, bytes]]], head: Head | None) -> Iterator[str]:
        """Each thing that is wrong, with its place. ``head`` is where the trail must end; None: what is stored is no head."""
        if self._anchor is None:
            yield "the anchor, which says up to where entries were trimmed, was forged"
        for record_id, fields in records:
            self.entries += 1
            sealed = self._chain.open(fields)
            if sealed is None:
                self._strangers += 1
                place = self._last.sequence + self._strangers
                yield f"what stands in the place of entry {place} ({record_id}) was altered or forged"
            else:
                yield from self._follow(record_id, sealed)
        yield from self._end(head)
        if not self._meets_expectation:
            yield f"the expected head {self._expected} is not in the trail: it was rolled back, or is another one"

    def _follow(self, record_id: str, sealed: Sealed) -> Iterator[str]:
        sequence, last = sealed.entry.sequence, self._last
        if sealed.head == self._expected:
            self._meets_expectation = True
        if sequence <= last.sequence:
            yield f"entry {sequence} ({record_id}) stands in the wrong place, after entry {last.sequence}"
            return
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


def _span(first: int, last: int) -> str:
    """What to call the entries from the first to the last; nothing if there are none."""
    if first > last:
        return ""
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
