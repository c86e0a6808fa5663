"""The inspection of a trail finds every change of its records, and says where it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.chain import ENTRY, PREVIOUS, SEAL, SEAL_BYTES, Chain, Head, derive_keys
from app.audit.entry import decode, encode
from tests.unit.audit.records import KEYS, TRAIL, Fields, fields, findings, query, sealed

COUNT = 7
HONEST = sealed(COUNT)
RECORDS = [fields(each) for each in HONEST]
HEAD = HONEST[-1].head
EVERYWHERE = pytest.mark.parametrize("place", range(1, COUNT + 1))


def altered(place: int, **changes: object) -> list[Fields]:
    """The trail with another value in a field of one entry."""
    records = [dict(record) for record in RECORDS]
    entry = decode(records[place - 1][ENTRY])
    assert entry is not None
    records[place - 1][ENTRY] = encode(msgspec.structs.replace(entry, **changes))
    return records


def without(*places: int) -> list[Fields]:
    return [record for place, record in enumerate(RECORDS, 1) if place not in places]


def test_an_honest_trail_is_intact() -> None:
    """So are an empty trail, and one whose beginning was trimmed."""
    assert findings(RECORDS, HEAD) == []
    assert findings(RECORDS[3:], HEAD, anchor=HONEST[2].head) == []
    assert findings([], HEAD, anchor=HEAD) == []


@EVERYWHERE
@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 3000},
        {"at": "2026-10-28T11:59:59.000Z"},
        {"channel": "command"},
        {"role": "student"},
        {"who": "somebody-else"},
        {"action": "task.read"},
        {"whose": []},
        {"outcome": "denied"},
        {"correlation_id": ""},
        {"details": {"a": 1}},
    ],
)
def test_an_altered_entry_is_named(place: int, changes: dict[str, object]) -> None:
    """It is found whichever field was altered; the other entries stay valid."""
    assert findings(altered(place, **changes), HEAD) == [
        f"the record in the place of entry {place} ({place}-0) was altered or forged"
    ]


@EVERYWHERE
@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record | {SEAL: bytes(SEAL_BYTES)},
        lambda record: record | {SEAL: b""},
        lambda record: record | {PREVIOUS: b"\1" * SEAL_BYTES},
        lambda record: record | {PREVIOUS: b""},
        lambda record: record | {ENTRY: b"{"},
        lambda record: record | {ENTRY: b"[" * 100_000},
        lambda record: record | {ENTRY: b"\xff"},
        lambda record: record | {ENTRY: b"null"},
        lambda record: record | {ENTRY: record[ENTRY] + b" "},
        lambda record: record | {b"foreign": b""},
        lambda record: {ENTRY: record[ENTRY], SEAL: record[SEAL]},
        lambda _record: {b"x": b"y"},
    ],
)
def test_a_record_that_is_none_of_the_engines_is_named(place: int, damage: Callable[[Fields], Fields]) -> None:
    """Broken JSON, missing and foreign fields, and seals of another length are findings, not exceptions."""
    records = [*RECORDS[: place - 1], damage(RECORDS[place - 1]), *RECORDS[place:]]
    assert findings(records, HEAD) == [f"the record in the place of entry {place} ({place}-0) was altered or forged"]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([1], ["entry 1 is missing, before 1-0"]),
        ([1, 2, 3], ["entries 1 to 3 are missing, before 1-0"]),
        ([4], ["entry 4 is missing, before 4-0"]),
        ([3, 4, 5], ["entries 3 to 5 are missing, before 3-0"]),
        ([2, 5], ["entry 2 is missing, before 2-0", "entry 5 is missing, before 4-0"]),
        ([7], ["the newest entry 7 is missing"]),
        ([5, 6, 7], ["the newest entries 5 to 7 are missing"]),
        ([1, 2, 3, 4, 5, 6, 7], ["the newest entries 1 to 7 are missing"]),
    ],
)
def test_removed_entries_are_named(places: list[int], expected: list[str]) -> None:
    """They may be the first ones, in the middle, the newest, or all of them."""
    assert findings(without(*places), HEAD) == expected


@pytest.mark.parametrize(("first", "second"), [*combinations(range(COUNT), 2)])
def test_entries_that_changed_places_are_found(first: int, second: int) -> None:
    """Any two entries that were swapped are found."""
    records = list(RECORDS)
    records[first], records[second] = records[second], records[first]
    found = findings(records, HEAD)
    assert any(f"entry {first + 1} (" in each and "in the wrong place" in each for each in found)


@EVERYWHERE
def test_entries_cannot_be_put_in(place: int) -> None:
    """Entries that were forged, repeated or copied from another tenant are named with their position."""
    forged = Chain(derive_keys("another secret"), TRAIL).seal(HONEST[place - 1].head, query())[0]
    foreign = sealed(COUNT, "t-2")[place - 1]
    for intruder in (forged, foreign):
        records = [*RECORDS[:place], fields(intruder), *RECORDS[place:]]
        assert findings(records, HEAD) == [
            f"the record in the place of entry {place + 1} ({place + 1}-0) was altered or forged"
        ]
    repeated = [*RECORDS[:place], RECORDS[0], *RECORDS[place:]]
    assert findings(repeated, HEAD) == [f"entry 1 ({place + 1}-0) stands in the wrong place, after entry {place}"]


@EVERYWHERE
def test_trails_of_two_tenants_cannot_be_exchanged(place: int) -> None:
    """Each entry is sealed with the name of its trail."""
    other = [fields(each) for each in sealed(COUNT, "t-2")]
    assert len(findings([*RECORDS[: place - 1], *other[place - 1 :]], HEAD)) >= COUNT - place + 1
    assert len(findings(other, sealed(COUNT, "t-2")[-1].head)) >= COUNT


def test_an_altered_run_counts_for_what_it_stands_for() -> None:
    """Two invalid records in place of four entries count as two altered and two missing ones."""
    junk = {b"x": b"y"}
    assert findings([RECORDS[0], junk, junk, *RECORDS[5:]], HEAD) == [
        "the record in the place of entry 2 (2-0) was altered or forged",
        "the record in the place of entry 3 (3-0) was altered or forged",
        "entries 4 to 5 are missing, before 4-0",
    ]
    assert findings([*RECORDS[:4], junk], HEAD) == [
        "the record in the place of entry 5 (5-0) was altered or forged",
        "the newest entries 6 to 7 are missing",
    ]


def test_what_a_lost_end_was_replaced_by_does_not_go_back() -> None:
    """After a crash lost the last two entries and others were written, an old one that is inserted again does not link."""
    again = Chain(KEYS, TRAIL).seal(HONEST[4].head, query(50), query(51))
    honest = [*RECORDS[:5], *map(fields, again)]
    assert findings(honest, again[-1].head) == []
    assert findings([*honest[:6], RECORDS[6]], HEAD) == [
        "entry 7 (7-0) does not follow from entry 6: one of them is of another time"
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (None, "the head, which says where the trail ends, was altered"),
        (Head(), "the head, which says where the trail ends, is gone"),
        (HONEST[4].head, "the head was set back to entry 5; the trail goes on to entry 7"),
        (Head(COUNT, bytes(31) + b"\1"), "the head is not that of entry 7: it was altered"),
        (Head(COUNT + 3, HEAD.mac), "the newest entries 8 to 10 are missing"),
    ],
)
def test_a_head_that_was_tampered_with(head: Head | None, expected: str) -> None:
    """The head was deleted, set back, set forward or altered."""
    assert findings(RECORDS, head) == [expected]


def test_a_trail_that_is_gone() -> None:
    """A trail is missing together with its head and anchor."""
    assert findings([], Head()) == ["the trail is gone"]


def test_trimming_by_hand_is_found() -> None:
    """It is found without an anchor, with a forged one, and with an earlier one."""
    assert findings(RECORDS[3:], HEAD) == ["entries 1 to 3 are missing, before 1-0"]
    assert findings(RECORDS[3:], HEAD, anchor=None) == [
        "the anchor, which says up to where entries were trimmed, was forged",
        "entries 1 to 3 are missing, before 1-0",
    ]
    assert findings(RECORDS[3:], HEAD, anchor=HONEST[0].head) == ["entries 2 to 3 are missing, before 1-0"]
    assert findings([], Head(), anchor=HONEST[2].head) == ["the head, which says where the trail ends, is gone"]


def test_an_expected_head_must_be_there() -> None:
    """If it is neither present nor trimmed, the whole trail was set back."""
    lost = f"the expected head {HEAD} is not in the trail: it was rolled back, or is another one"
    for each in HONEST:
        assert findings(RECORDS, HEAD, expected=each.head) == []
        assert findings(RECORDS[5:], HEAD, anchor=HONEST[4].head, expected=each.head) == []
    assert findings(RECORDS, HEAD, expected=Head()) == []
    assert findings(RECORDS[:5], HONEST[4].head, expected=HEAD) == [lost]
    assert findings([], Head(), expected=HEAD) == ["the trail is gone", lost]
    other = sealed(COUNT, after=Head(0, b"\1" * SEAL_BYTES))[2].head
    assert len(findings(RECORDS, HEAD, expected=other)) == 1
    assert len(findings(RECORDS[3:], HEAD, anchor=HONEST[2].head, expected=other)) == 1


@dataclass
class Tampering:
    """Manipulations of records, in any order."""

    records: list[Fields] = field(default_factory=lambda: [dict(record) for record in RECORDS])

    def do(self, kind: str, one: int, other: int, name: bytes, value: bytes) -> None:
        if not self.records:
            self.records.append({name: value})
            return
        one, other = one % len(self.records), other % len(self.records)
        match kind:
            case "remove":
                del self.records[one]
            case "move":
                self.records.insert(other, self.records.pop(one))
            case "repeat":
                self.records.insert(other, dict(self.records[one]))
            case "set":
                self.records[one][name] = value
            case "flip":
                self._flip(self.records[one], name, other)
            case "exchange":
                mine, theirs = self.records[one], self.records[other]
                mine[name], theirs[name] = theirs.get(name, b""), mine.get(name, b"")
            case _:
                raise AssertionError(kind)

    @staticmethod
    def _flip(record: Fields, name: bytes, place: int) -> None:
        if found := bytearray(record.get(name, b"")):
            found[place % len(found)] ^= 1
            record[name] = bytes(found)


names = st.sampled_from([ENTRY, PREVIOUS, SEAL, b"other"])
values = st.one_of(
    st.binary(max_size=40), st.sampled_from([each[name] for each in RECORDS for name in (ENTRY, PREVIOUS, SEAL)])
)
kinds = st.sampled_from(["remove", "move", "repeat", "set", "flip", "exchange"])
steps = st.lists(st.tuples(kinds, st.integers(0, 50), st.integers(0, 50), names, values), max_size=5)


@given(steps)
def test_no_tampering_goes_unnoticed(done: list[tuple[str, int, int, bytes, bytes]]) -> None:
    """There are findings if, and only if, the records were changed."""
    tampering = Tampering()
    for step in done:
        tampering.do(*step)
    assert bool(findings(tampering.records, HEAD)) == (tampering.records != RECORDS)


@given(st.integers(0, 20), st.one_of(st.binary(min_size=32, max_size=32), st.sampled_from([each.mac for each in HONEST])))
def test_no_other_head_goes_unnoticed(sequence: int, mac: bytes) -> None:
    """This holds while all records are present."""
    assert bool(findings(RECORDS, Head(sequence, mac))) == ((sequence, mac) != HEAD)
