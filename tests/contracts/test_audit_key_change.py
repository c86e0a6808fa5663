"""The audit key is replaced while trails continue, on every server: nothing is lost, and tampering is still found."""

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from app.audit.read_trail import EntryFilter, read_trail
from app.audit.trim_trail import TrailDamaged, trim_trail
from app.bootstrap import Engine, bootstrap
from tests.conftest import NOW
from tests.contracts.audit_trails import found, query, records, rewrite

KEY = "the key that comes after it"


def about(engine: Engine, student_id: str, *, days_ago: float) -> None:
    """An entry about a student, as the engine makes it."""
    made = msgspec.structs.replace(query(days_ago=days_ago), whose=[engine.audit.pseudonym("t", student_id)])
    engine.audit.append("t", made)


@pytest.fixture
def later(engine: Engine) -> Iterator[Engine]:
    """The same engine after a key change; five entries are from before, and two from after it."""
    for day in range(10, 5, -1):
        about(engine, "s-1" if day % 2 else "s-2", days_ago=day)
    changed = dataclasses.replace(engine.settings, audit_key=KEY, audit_key_previous=engine.settings.audit_key)
    made = bootstrap(changed, clock=engine.clock)
    with closing(made.redis):
        for day in (2, 1):
            about(made, "s-1", days_ago=day)
        yield made


def test_the_trail_is_intact(later: Engine) -> None:
    """It also continues."""
    assert found(later) == []
    later.audit.append("t", query())
    assert found(later) == []


def test_a_student_is_found_by_both_pseudonyms(engine: Engine, later: Engine) -> None:
    """The two differ: a person who has the old key and knows pseudonyms cannot follow students after the change."""
    both = later.audit.pseudonyms("t", "s-1")
    assert set(both) == {later.audit.pseudonym("t", "s-1"), engine.audit.pseudonym("t", "s-1")}
    assert len(both) == 2
    entries = read_trail("t", EntryFilter(whose=frozenset(both)), trails=later.audit, limit=100).entries
    assert [entry.sequence for entry in entries] == [7, 6, 4, 2]
    assert read_trail("t", EntryFilter(), trails=later.audit, limit=100).damaged == 0


@pytest.mark.parametrize("place", range(7))
def test_tampering_is_found_with_either_key(later: Engine, place: int) -> None:
    """Entries sealed with either key that are altered or removed are found."""

    def alter(all_: list[dict[bytes, bytes]]) -> list[dict[bytes, bytes]]:
        all_[place][b"entry"] = all_[place][b"entry"].replace(b"kim", b"lee")
        return all_

    stored = records(later)
    rewrite(later, alter)
    assert len(found(later)) == 1
    rewrite(later, lambda _: [each for number, each in enumerate(stored) if number != place])
    assert len(found(later)) == 1
    rewrite(later, lambda _: stored)
    assert found(later) == []


def test_without_the_former_key_what_it_sealed_counts_as_altered(later: Engine) -> None:
    """So the previous key must stay in the settings until those entries are trimmed; without it nothing is trimmed."""
    alone = bootstrap(dataclasses.replace(later.settings, audit_key_previous=""), clock=later.clock)
    with closing(alone.redis):
        assert len(found(alone)) == 5
        with pytest.raises(TrailDamaged):
            trim_trail("t", NOW - timedelta(days=4), trails=alone.audit, now=NOW)
        assert trim_trail("t", NOW - timedelta(days=4), trails=later.audit, now=NOW) == 5
        assert found(alone) == found(later) == []


def test_what_was_trimmed_with_the_former_key_stays_trimmed(engine: Engine) -> None:
    """The anchor of the previous key is accepted too."""
    for day in range(10, 5, -1):
        about(engine, "s-1", days_ago=day)
    assert trim_trail("t", NOW - timedelta(days=7), trails=engine.audit, now=NOW) == 3
    changed = dataclasses.replace(engine.settings, audit_key=KEY, audit_key_previous=engine.settings.audit_key)
    later = bootstrap(changed, clock=engine.clock)
    with closing(later.redis):
        assert found(later) == []
        assert trim_trail("t", NOW + timedelta(days=1), trails=later.audit, now=NOW + timedelta(days=2)) == 3
        assert found(later) == []
