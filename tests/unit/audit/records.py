"""The records of an authentic trail, for tests that tamper with it."""

from datetime import UTC, datetime, timedelta

from app.audit.chain import ENTRY, PREVIOUS, SEAL, Anchor, Chain, Head, Sealed, derive_keys
from app.audit.entry import Actor, Channel, Entry, entry
from app.audit.inspect_chain import Inspection

KEYS = derive_keys("a secret that only the engine has")
TRAIL = "t-1"
UNTRIMMED = Head()
NOON = datetime(2026, 10, 28, 12, tzinfo=UTC)

Fields = dict[bytes, bytes]


def query(number: int = 0) -> Entry:
    """A query of a student's mastery."""
    moment = NOON + timedelta(seconds=number)
    return entry(moment, Channel.API, Actor("admin", "kim"), "mastery.query", whose=["ab" * 12], correlation_id=f"c-{number}")


def sealed(count: int, trail: str = TRAIL, after: Head | None = None) -> list[Sealed]:
    """The given number of entries, in a chain."""
    return Chain(KEYS, trail).seal(after or Head(), *map(query, range(count)))


def fields(each: Sealed) -> Fields:
    """The fields as in a stream."""
    return {ENTRY: each.text, PREVIOUS: each.previous, SEAL: each.mac}


def findings(
    records: list[Fields],
    head: Head | None,
    *,
    anchor: Head | None = UNTRIMMED,
    expected: Head | None = None,
    chain: Chain | None = None,
) -> list[str]:
    """The findings in records with the ids 1-0, 2-0, and so on."""
    numbered = [(f"{place}-0", record) for place, record in enumerate(records, 1)]
    noted, heads = Anchor(anchor) if anchor is not None else None, [expected] if expected else []
    return list(Inspection(chain or Chain(KEYS, TRAIL), noted, heads).findings(numbered, head))
