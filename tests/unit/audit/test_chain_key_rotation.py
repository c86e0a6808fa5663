"""A trail whose key was replaced: entries of both keys are accepted, and the previous key cannot forge unnoticed."""

from datetime import timedelta

import msgspec
import pytest

from app.audit.chain import Anchor, Chain, Head, Sealed, derive_keys
from app.audit.entry import Entry, timestamp
from app.audit.inspect_chain import KEY_OVERLAP, Inspection
from tests.unit.audit.records import KEYS, NOON, TRAIL, fields, findings, query, sealed

CURRENT = derive_keys("the key that came after it")
OLD, NEW, BOTH = Chain(KEYS, TRAIL), Chain(CURRENT, TRAIL), Chain(CURRENT, TRAIL, KEYS)
FORGED = "is sealed with the previous key, long after the current one came into use: it was forged"
LATE = KEY_OVERLAP + timedelta(minutes=1)


def entry(after: timedelta = timedelta(0)) -> Entry:
    """An entry made this long after the key was replaced."""
    return msgspec.structs.replace(query(), at=timestamp(NOON + timedelta(minutes=1) + after))


def found(trail: list[Sealed], chain: Chain = BOTH) -> list[str]:
    return findings([fields(each) for each in trail], trail[-1].head, chain=chain)


def replaced(*more: tuple[Chain, timedelta]) -> list[Sealed]:
    """Three entries of the previous key, two of the current one, and more."""
    trail = sealed(3)
    trail += BOTH.seal(trail[-1].head, entry(), entry())
    for chain, after in more:
        trail += chain.seal(trail[-1].head, entry(after))
    return trail


def test_a_trail_goes_on_with_another_key() -> None:
    """Both keys together accept the trail; one of them alone accepts only half of it."""
    assert found(replaced()) == []
    assert len(found(replaced(), NEW)) == 3
    assert len(found(replaced(), OLD)) == 2


def test_processes_may_change_one_after_the_other() -> None:
    """For an hour, entries of both keys may alternate."""
    minutes = [timedelta(minutes=each) for each in (1, 10, 59)]
    assert found(replaced((OLD, minutes[0]), (NEW, minutes[1]), (OLD, minutes[2]), (NEW, LATE))) == []


@pytest.mark.parametrize(
    "more",
    [
        [(OLD, LATE)],
        [(NEW, LATE), (OLD, LATE)],
        [(NEW, LATE), (OLD, timedelta(minutes=1))],
        [(NEW, LATE), (NEW, LATE), (OLD, -timedelta(days=9))],
    ],
    ids=["late", "late, after a late one", "made earlier, it says", "made long ago, it says"],
)
def test_what_the_former_key_seals_afterwards_is_forged(more: list[tuple[Chain, timedelta]]) -> None:
    """Entries that the previous key seals later are forged, whatever time they claim."""
    trail = replaced(*more)
    last = len(trail)
    assert found(trail) == [f"entry {last} ({last}-0) {FORGED}"]


def test_a_time_that_is_none_is_no_error() -> None:
    """Anybody who has the previous key can write any text as a time."""
    trail = replaced((NEW, LATE))
    trail += OLD.seal(trail[-1].head, msgspec.structs.replace(query(), at="yesterday"))
    assert found(trail) == [f"entry {len(trail)} ({len(trail)}-0) {FORGED}"]


def test_the_former_key_cannot_trim_what_the_current_one_sealed() -> None:
    """An anchor of the previous key is accepted only if entries of that key follow it."""
    trail = replaced()

    def after(anchor: Anchor, rest: list[Sealed]) -> list[str]:
        records = [(f"{each.entry.sequence}-0", fields(each)) for each in rest]
        return list(Inspection(BOTH, anchor).findings(records, trail[-1].head))

    assert after(Anchor(trail[1].head, by_previous=True), trail[2:]) == []
    assert after(Anchor(trail[2].head), trail[3:]) == []
    forged = "the anchor is sealed with the previous key, and what follows it is not: it was forged"
    assert after(Anchor(trail[3].head, by_previous=True), trail[4:]) == [forged]
    assert after(Anchor(trail[2].head, by_previous=True), trail[3:]) == [forged]


def test_each_of_many_expected_heads_must_be_there() -> None:
    """Heads were exported every hour; the first missing one is named."""
    trail = replaced()
    records = [(f"{each.entry.sequence}-0", fields(each)) for each in trail]
    heads = [each.head for each in trail]
    assert list(Inspection(BOTH, Anchor(Head()), heads).findings(records, heads[-1])) == []
    [lost] = Inspection(BOTH, Anchor(Head()), heads).findings(records[:3], heads[2])
    assert lost.startswith(f"the expected head {heads[3]} is not in the trail (nor are 1 later ones): it was rolled back")
