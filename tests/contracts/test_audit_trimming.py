"""Trimming old entries of an audit trail is not taken for tampering, on every server."""

from datetime import timedelta

import pytest

from app.audit import trail as trail_module
from app.audit import trim_trail as trim_module
from app.audit.chain import Anchor, Head
from app.audit.entry import SystemAction
from app.audit.trim_trail import TrailDamaged, trim_trail
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from tests.conftest import NOW
from tests.contracts.audit_trails import ATTACKS, COUNT, fill, found, ids, put, query, records, remove, stream, verify


class TestTrimming:
    """Old entries are removed, in a way that differs from tampering."""

    def test_old_entries_go_and_the_rest_is_intact(self, engine: Engine) -> None:
        """The sealed time decides; an entry records how many were removed. A second run changes nothing."""
        engine.audit.append("t", *(query(days_ago=10 - number) for number in range(10)))
        noted = engine.audit.ends("t").head
        assert trim_trail("t", NOW - timedelta(days=4), trails=engine.audit, now=NOW) == 6
        assert trim_trail("t", NOW - timedelta(days=4), trails=engine.audit, now=NOW) == 0
        assert (verify(engine).entries, found(engine, expected=noted)) == (5, [])
        last = engine.audit.chain("t").open(engine.audit.newest_first("t", "", 1)[0][1])
        assert last is not None
        assert (last.entry.action, last.entry.role, last.entry.details) == (
            SystemAction.TRIM_AUDIT,
            "system",
            {"entries": 6, "until": 6},
        )
        assert trim_trail("t", NOW - timedelta(days=2), trails=engine.audit, now=NOW) == 2
        assert found(engine) == []

    def test_all_may_be_old(self, engine: Engine) -> None:
        """Then only the anchor remains; and the trail continues."""
        fill(engine, 3)
        assert trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW + timedelta(days=400)) == 3
        assert (verify(engine).entries, found(engine)) == (1, [])
        assert fill(engine, 2).sequence == 6
        assert found(engine) == []

    def test_an_empty_trail_stays_empty(self, engine: Engine) -> None:
        """Nothing is recorded if nothing is removed."""
        assert trim_trail("t", NOW, trails=engine.audit, now=NOW) == 0
        assert engine.audit.trails() == []

    def test_much_goes_in_pieces(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server can process other commands in between."""
        monkeypatch.setattr(trim_module, "TRIM_AT_ONCE", 4)
        fill(engine, 10)
        removed = [trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW + timedelta(days=2)) for _ in range(3)]
        assert removed == [4, 4, 2]
        assert (verify(engine).entries, found(engine)) == (3, [])

    def test_a_trim_that_comes_second_removes_nothing(self, engine: Engine) -> None:
        """Its expected anchor is outdated."""
        fill(engine, 6)
        first, second = (engine.audit.chain("t").open(fields) for _, fields in list(engine.audit.oldest_first("t"))[:2])
        assert first is not None
        assert second is not None
        assert engine.audit.trim("t", Head(), second.head, ids(engine)[1])
        assert not engine.audit.trim("t", Head(), first.head, ids(engine)[0])
        assert (verify(engine).entries, found(engine)) == (4, [])

    def test_ids_do_not_make_an_entry_old(self, engine: Engine) -> None:
        """Ids are not sealed: young entries inserted under old ids are not removed."""
        fill(engine, 5)
        stored = records(engine)
        engine.redis.delete(stream(engine))
        for number, fields in enumerate(stored, 1):
            put(engine, fields, record_id=f"{number}-1")
        assert trim_trail("t", NOW - timedelta(days=1), trails=engine.audit, now=NOW) == 0
        assert found(engine) == []

    @pytest.mark.parametrize("attack", ["the first removed", "one in the middle removed", "two exchanged", "trimmed by hand"])
    def test_what_is_damaged_stays(self, engine: Engine, attack: str) -> None:
        """Evidence is not removed, and a gap is not hidden by an anchor behind it."""
        fill(engine, COUNT)
        ATTACKS[attack][0](engine)
        before = engine.redis.xlen(stream(engine))
        with pytest.raises(TrailDamaged):
            trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW)
        assert engine.redis.xlen(stream(engine)) == before
        assert found(engine)

    def test_trimming_while_somebody_verifies_is_no_finding(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """Entries trimmed meanwhile do not count as missing."""
        monkeypatch.setattr(trail_module, "PAGE", 10)
        fill(engine, 100)
        honest, trims = engine.audit._page, iter([40, 30])

        def page(key: str, start: str, until: str) -> list[trail_module.StreamEntry]:
            read = honest(key, start, until)
            if start != "-" and (count := next(trims, 0)):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(engine.audit, "_page", honest)
                    patch.setattr(trim_module, "TRIM_AT_ONCE", count)
                    assert trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW + timedelta(days=2)) == count
            return read

        monkeypatch.setattr(engine.audit, "_page", page)
        assert found(engine) == []
        assert next(trims, None) is None

    def test_trimming_that_does_not_end_is_no_finding_either(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """If verification never gets a stable trail, it raises an error, and reports no finding."""
        fill(engine, 10)
        remove(5)(engine)
        anchors = iter(range(1, 100))
        honest = engine.audit.ends
        monkeypatch.setattr(
            engine.audit, "ends", lambda name: honest(name)._replace(anchor=Anchor(Head(next(anchors), bytes(32))))
        )
        with pytest.raises(DependencyUnavailable, match="is being trimmed"):
            verify(engine)
