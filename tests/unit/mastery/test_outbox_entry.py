"""The two forms in which Redis has the entries of the outbox."""

from datetime import UTC, datetime

import msgspec
import pytest

from app.mastery.outbox_entry import OutboxEntry, of_member, of_stream, padded_id, without
from app.mastery.result_messages import Change, Erasure

AT = datetime(2026, 10, 28, 12, tzinfo=UTC)
FIRST, SECOND = Change("s-1", "c/1", 1, 20_754, 240_000, -1), Change("s-2", "", 7, 20_754, 500_000, 400_000)
ERASURE = Erasure("s-1", 1_793_000_000_000_001)


def member(field: str, *values: Change | Erasure, entry_id: str = "1793188800000-3") -> bytes:
    return f"{padded_id(entry_id)}/1793188800000/{field}/".encode() + msgspec.msgpack.encode(values)


@pytest.mark.parametrize(
    ("field", "values", "entry"),
    [
        ("changes", (FIRST, SECOND), OutboxEntry("1793188800000-3", AT, [FIRST, SECOND], [])),
        ("erasures", (ERASURE,), OutboxEntry("1793188800000-3", AT, [], [ERASURE])),
    ],
)
def test_both_forms_say_the_same(field: str, values: tuple[Change | Erasure, ...], entry: OutboxEntry) -> None:
    """A value may contain the separator."""
    fields = [b"at", b"1793188800000", field.encode(), msgspec.msgpack.encode(values)]
    assert of_stream(b"1793188800000-3", fields) == of_member(member(field, *values)) == entry


def test_members_are_in_the_order_of_their_ids() -> None:
    """Redis orders members by their bytes; ids are numbers of up to 64 bits."""
    ids = ["0-1", "9-10", "10-9", "10-10", "1793188800000-0", "1793188800000-18446744073709551615", "18446744073709551615-0"]
    assert sorted(map(padded_id, ids)) == [padded_id(each) for each in ids]


def test_only_the_changes_of_these_students_are_removed() -> None:
    """The rest keeps its id and order; nothing is left of an entry with no others; an announcement stays."""
    third = msgspec.structs.replace(FIRST, student_id="s-3")
    all_three = member("changes", FIRST, SECOND, third)
    assert without(all_three, {"s-2"}) == (member("changes", FIRST, third), 1)
    assert without(all_three, {"s-1", "s-3"}) == (member("changes", SECOND), 2)
    assert without(all_three, {"s-1", "s-2", "s-3", "s-4"}) == (b"", 3)
    assert without(all_three, {"s-4"}) == (all_three, 0)
    announcement = member("erasures", ERASURE)
    assert without(announcement, {"s-1"}) == (announcement, 0)
