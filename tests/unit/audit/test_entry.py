"""Entries and pseudonyms."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.audit.entry import OPERATORS, Actor, Channel, decode, encode, entry, timestamp
from app.errors import InvalidInput
from app.identifiers import require_identifier
from app.pseudonyms import Pseudonyms
from tests.unit.audit.records import query

HERE = timezone(timedelta(hours=5, minutes=30))


def test_an_entry_is_readable_json() -> None:
    """The keys have a readable order, and empty fields are omitted."""
    expected = (
        '{"sequence":0,"at":"2026-10-28T12:00:07.000Z","channel":"api","role":"admin","who":"kim","action":"mastery.query",'
        '"whose":["abababababababababababab"],"outcome":"done","correlation_id":"c-7"}'
    )
    assert encode(query(7)).decode().replace("{", '{"sequence":0,', 1) == expected
    assert decode(encode(query(7))) == query(7)


def test_an_entry_about_many_is_small() -> None:
    """All students are counted and found, though not all have a full pseudonym in the entry; others are not found."""
    pseudonyms = Pseudonyms(b"key")
    known = [pseudonyms.of("t-1", f"s-{number}") for number in range(500)]
    about = entry(datetime(2026, 10, 28, tzinfo=UTC), Channel.API, Actor("service", "tutor"), "mastery.ingest", whose=known)
    assert len(encode(about)) < 3500
    stored = decode(encode(about))
    assert stored is not None
    assert (known[:20], 500) == (stored.whose, stored.students)
    assert all(stored.is_about({each}) for each in known)
    assert not any(stored.is_about({pseudonyms.of("t-1", f"s-{number}")}) for number in range(500, 2000))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 10, 28, 12, tzinfo=UTC), "2026-10-28T12:00:00.000Z"),
        (datetime(2026, 10, 28, 12, 0, 0, 999_999, tzinfo=UTC), "2026-10-28T12:00:00.999Z"),
        (datetime(2026, 10, 28, 3, tzinfo=HERE), "2026-10-27T21:30:00.000Z"),
        (datetime(7, 1, 1, tzinfo=UTC), "0007-01-01T00:00:00.000Z"),
    ],
)
def test_moments_are_utc_to_the_millisecond(moment: datetime, expected: str) -> None:
    """All have the same length, so that they sort as text."""
    assert timestamp(moment) == expected


def test_no_tenant_is_called_like_the_operators_trail() -> None:
    """Such a tenant could read or write the operators' trail."""
    with pytest.raises(InvalidInput):
        require_identifier("tenant", OPERATORS)


def test_a_pseudonym_is_a_students_own() -> None:
    """A pseudonym is constant, differs by student, tenant and key, and contains no part of the id."""
    pseudonyms = Pseudonyms(b"key")
    mine = pseudonyms.of("t-1", "s-1")
    assert mine == pseudonyms.of("t-1", "s-1") == Pseudonyms(b"key").of("t-1", "s-1")
    others = [pseudonyms.of("t-1", "s-2"), pseudonyms.of("t-2", "s-1"), Pseudonyms(b"other").of("t-1", "s-1")]
    assert len({mine, *others}) == 4
    assert len(mine) == 24
    assert set(mine) <= set("0123456789abcdef")
    assert mine == "495140a5a987ee1a2c4b9258"  # the beginning of HMAC-SHA256(key, tenant, zero byte, student)
