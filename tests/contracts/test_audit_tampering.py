"""What is done to a trail in Redis is found, and what the engine itself removes is not taken for it, on every server."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.audit import trail as trail_module
from app.audit import trim_trail as trim_module
from app.audit.chain import Anchor, Head
from app.audit.entry import OPERATORS, SystemAction
from app.audit.trim_trail import TrailDamaged, trim_trail
from app.audit.verify_trail import MAX_FINDINGS
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from tests.conftest import NOW
from tests.contracts.audit_trails import another, fill, found, ids, put, query, records, rewrite, stream, verify

COUNT = 9


def remove(*places: int) -> Callable[[Engine], object]:
    return lambda engine: engine.redis.xdel(stream(engine), *(ids(engine)[place] for place in places))


def swap(engine: Engine) -> None:
    def change(all_: list[dict[bytes, bytes]]) -> list[dict[bytes, bytes]]:
        all_[3], all_[5] = all_[5], all_[3]
        return all_

    rewrite(engine, change)


def alter(engine: Engine) -> None:
    def change(all_: list[dict[bytes, bytes]]) -> list[dict[bytes, bytes]]:
        all_[4][b"entry"] = all_[4][b"entry"].replace(b"kim", b"lee")
        return all_

    rewrite(engine, change)


def insert(engine: Engine) -> None:
    rewrite(engine, lambda all_: [*all_[:4], {**all_[3], b"mac": bytes(32)}, *all_[4:]])


def exchange(engine: Engine) -> None:
    """The trail of another tenant in the place of this one."""
    fill(engine, COUNT, "u")
    for part in ("", "-head"):
        engine.redis.rename(f"{stream(engine, 'u')}{part}", f"{stream(engine)}{part}")


def set_head(engine: Engine, head: Head) -> None:
    """As somebody writes it who wants the trail to end there."""
    engine.redis.delete(f"{stream(engine)}-head")
    if head.sequence:
        engine.redis.hset(f"{stream(engine)}-head", mapping={"sequence": head.sequence, "mac": head.mac})


def roll_head_back(engine: Engine) -> None:
    engine.redis.hset(f"{stream(engine)}-head", mapping={"sequence": 6, "mac": records(engine)[5][b"mac"]})


def trim_by_hand(engine: Engine) -> None:
    fields = records(engine)[3]
    engine.redis.xtrim(stream(engine), minid=ids(engine)[4], approximate=False)
    engine.redis.hset(f"{stream(engine)}-anchor", mapping={"sequence": 4, "mac": fields[b"mac"], "seal": fields[b"mac"]})


def go_on_without_a_head(engine: Engine) -> None:
    engine.redis.delete(f"{stream(engine)}-head")
    another(engine).append("t", query())


ATTACKS: dict[str, tuple[Callable[[Engine], object], str]] = {
    "the first removed": (remove(0), "entry 1 is missing, before"),
    "one in the middle removed": (remove(4), "entry 5 is missing, before"),
    "several removed": (remove(2, 3, 6), "entries 3 to 4 are missing, before"),
    "the newest removed": (remove(COUNT - 1), "the newest entry 9 is missing"),
    "the newest three removed": (remove(-3, -2, -1), "the newest entries 7 to 9 are missing"),
    "all removed": (remove(*range(COUNT)), "the newest entries 1 to 9 are missing"),
    "two exchanged": (swap, "entry 4 ("),
    "one altered": (alter, "what stands in the place of entry 5 ("),
    "one inserted": (insert, "what stands in the place of entry 5 ("),
    "a forged one added": (
        lambda engine: engine.redis.xadd(stream(engine), {"entry": "{", "foreign": "x"}),
        "what stands in the place of entry 10 (",
    ),
    "another tenant's": (exchange, "what stands in the place of entry 1 ("),
    "the head deleted": (lambda engine: engine.redis.delete(f"{stream(engine)}-head"), "the head, which says where"),
    "the head deleted, and written on": (go_on_without_a_head, "entry 1 ("),
    "the head set back": (roll_head_back, "the head was set back to entry 6; the trail goes on to entry 9"),
    "the head broken": (lambda engine: engine.redis.hset(f"{stream(engine)}-head", "mac", "x"), "the head, which says where"),
    "the head of another type": (lambda engine: engine.redis.set(f"{stream(engine)}-head", "x"), "the head, which says where"),
    "the stream deleted": (lambda engine: engine.redis.delete(stream(engine)), "the newest entries 1 to 9 are missing"),
    "the stream of another type": (
        lambda engine: engine.redis.set(stream(engine), "x"),
        "the newest entries 1 to 9 are missing",
    ),
    "the anchor of another type": (lambda engine: engine.redis.set(f"{stream(engine)}-anchor", "x"), "the anchor, which says"),
    "trimmed by hand": (trim_by_hand, "the anchor, which says up to where entries were trimmed, was forged"),
    "everything deleted": (
        lambda engine: engine.redis.delete(stream(engine), f"{stream(engine)}-head", f"{stream(engine)}-anchor"),
        "the trail is gone",
    ),
}


class TestTampering:
    """Whoever can write to Redis, but has not the key."""

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_it_is_found(self, engine: Engine, attack: str) -> None:
        """With its place; entries that are written afterwards do not hide it."""
        do, expected = ATTACKS[attack]
        fill(engine, COUNT)
        do(engine)
        assert any(each.startswith(expected) for each in found(engine)), found(engine)

    @pytest.mark.parametrize("attack", [attack for attack in ATTACKS if "delete" not in attack and "type" not in attack])
    def test_it_stays_found(self, engine: Engine, attack: str) -> None:
        """When the engine goes on writing."""
        fill(engine, COUNT)
        ATTACKS[attack][0](engine)
        try:
            engine.audit.append("t", query())
        except DependencyUnavailable:
            assert attack == "the head broken"
        assert found(engine)

    def test_a_trail_that_was_set_back_as_a_whole_is_found_by_a_head_that_was_noted_elsewhere(self, engine: Engine) -> None:
        """Stream and head together: what remains once was a good trail."""
        before = fill(engine, 5)
        noted = fill(engine, 5)
        remove(-1, -2, -3, -4, -5)(engine)
        engine.redis.hset(f"{stream(engine)}-head", mapping={"sequence": before.sequence, "mac": before.mac})
        assert found(engine) == []
        assert found(engine, expected=before) == []
        assert len(found(engine, expected=noted)) == 1
        engine.audit.append("t", *(query(number, who="lee") for number in range(8)))
        assert found(engine) == []
        assert len(found(engine, expected=noted)) == 1

    @pytest.mark.parametrize("kept", [0, 3], ids=["all of it", "a part"])
    def test_a_process_that_knows_better_says_so(self, engine: Engine, caplog: pytest.LogCaptureFixture, kept: int) -> None:
        """In its log, with the head to look for; and in the operators' trail. The request goes on, and it is said once."""
        known = fill(engine, COUNT)
        reset = engine.audit.chain("t").open(records(engine)[kept - 1]) if kept else None
        was_left = reset.head if reset else Head()
        remove(*range(kept, COUNT))(engine)
        set_head(engine, was_left)
        assert found(engine) == ([] if kept else ["the trail is gone"])
        for _ in range(2):
            engine.audit.append("t", query())
        assert found(engine) == []
        assert len(found(engine, expected=known)) == 1
        [said] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert said == (
            f"the audit trail t was set back from entry {COUNT} to {kept}, by somebody or by a crash of Redis: "
            f"`mastery audit verify --tenant t --expect {known}`"
        )
        [alarm] = [engine.audit.chain(OPERATORS).open(fields) for _, fields in engine.audit.oldest_first(OPERATORS)]
        assert alarm is not None
        assert (alarm.entry.action, alarm.entry.details) == (
            SystemAction.NOTICE_SET_BACK,
            {"trail": "t", "was": str(known), "is": str(was_left)},
        )

    def test_another_entry_of_the_same_number_is_noticed_too(self, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
        """Another process wrote as many after it had been set back."""
        before = fill(engine, 5)
        fill(engine, 2)
        remove(-1, -2)(engine)
        set_head(engine, before)
        another(engine).append("t", query(1, who="lee"), query(2, who="lee"))
        assert "was set back" not in caplog.text
        engine.audit.append("t", query())
        assert "the audit trail t was set back from entry 7 to 7" in caplog.text

    def test_the_operators_own_trail(self, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
        """Is no exception."""
        fill(engine, 3, OPERATORS)
        engine.redis.delete(stream(engine, OPERATORS), f"{stream(engine, OPERATORS)}-head")
        engine.audit.append(OPERATORS, query())
        assert [each[b"entry"].count(b"audit.set-back") for each in records(engine, OPERATORS)] == [0, 1]
        assert "the audit trail .operators was set back from entry 3 to 0" in caplog.text

    def test_races_are_no_set_back(self, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
        """Another process was faster: the trail goes on."""
        other = another(engine)
        for _ in range(3):
            engine.audit.append("t", query())
            other.append("t", query(), query())
        assert caplog.records == []
        assert engine.audit.trails() == ["t"]

    def test_findings_are_bounded(self, engine: Engine) -> None:
        """Whoever destroyed everything does not fill the auditor's memory."""
        with engine.redis.pipeline(transaction=False) as pipeline:
            for _ in range(MAX_FINDINGS + 500):
                pipeline.xadd(stream(engine), {"junk": ""})
            pipeline.execute()
        assert len(found(engine)) == MAX_FINDINGS


class TestTrimming:
    """Old entries go, in a way that can be told from tampering."""

    def test_old_entries_go_and_the_rest_is_intact(self, engine: Engine) -> None:
        """By the time in them; an entry says how many went. Twice a day changes nothing."""
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
        """Then what says so remains; and the trail goes on."""
        fill(engine, 3)
        assert trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW + timedelta(days=400)) == 3
        assert (verify(engine).entries, found(engine)) == (1, [])
        assert fill(engine, 2).sequence == 6
        assert found(engine) == []

    def test_an_empty_trail_stays_empty(self, engine: Engine) -> None:
        """Nothing is noted where nothing goes."""
        assert trim_trail("t", NOW, trails=engine.audit, now=NOW) == 0
        assert engine.audit.trails() == []

    def test_much_goes_in_pieces(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that the server answers others in between."""
        monkeypatch.setattr(trim_module, "TRIM_AT_ONCE", 4)
        fill(engine, 10)
        removed = [trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW + timedelta(days=2)) for _ in range(3)]
        assert removed == [4, 4, 2]
        assert (verify(engine).entries, found(engine)) == (3, [])

    def test_a_trim_that_comes_second_removes_nothing(self, engine: Engine) -> None:
        """It believes in an anchor that has moved on."""
        fill(engine, 6)
        first, second = (engine.audit.chain("t").open(fields) for _, fields in list(engine.audit.oldest_first("t"))[:2])
        assert first is not None
        assert second is not None
        assert engine.audit.trim("t", Head(), second.head, ids(engine)[1])
        assert not engine.audit.trim("t", Head(), first.head, ids(engine)[0])
        assert (verify(engine).entries, found(engine)) == (4, [])

    def test_ids_do_not_make_an_entry_old(self, engine: Engine) -> None:
        """They are not sealed: whoever puts young entries in under old ids does not have them removed for him."""
        fill(engine, 5)
        stored = records(engine)
        engine.redis.delete(stream(engine))
        for number, fields in enumerate(stored, 1):
            put(engine, fields, record_id=f"{number}-1")
        assert trim_trail("t", NOW - timedelta(days=1), trails=engine.audit, now=NOW) == 0
        assert found(engine) == []

    @pytest.mark.parametrize("attack", ["the first removed", "one in the middle removed", "two exchanged", "trimmed by hand"])
    def test_what_is_damaged_stays(self, engine: Engine, attack: str) -> None:
        """Evidence is not removed, and a gap not made good by an anchor behind it."""
        fill(engine, COUNT)
        ATTACKS[attack][0](engine)
        before = engine.redis.xlen(stream(engine))
        with pytest.raises(TrailDamaged):
            trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW)
        assert engine.redis.xlen(stream(engine)) == before
        assert found(engine)

    def test_trimming_while_somebody_verifies_is_no_finding(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """What went meanwhile is not taken for missing."""
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
        """What cannot be told is not told."""
        fill(engine, 10)
        remove(5)(engine)
        anchors = iter(range(1, 100))
        honest = engine.audit.ends
        monkeypatch.setattr(
            engine.audit, "ends", lambda name: honest(name)._replace(anchor=Anchor(Head(next(anchors), bytes(32))))
        )
        with pytest.raises(DependencyUnavailable, match="is being trimmed"):
            verify(engine)


def test_a_trail_that_was_taken_off_the_list_is_verified_all_the_same(engine: Engine) -> None:
    """Whoever removes an entry may remove the name as well; anything that is left of the trail betrays it."""
    fill(engine, 5)
    engine.redis.xdel(stream(engine), ids(engine)[2])
    engine.redis.srem(f"{engine.settings.key_prefix}:audited", "t")
    assert engine.audit.trails() == ["t"]
    engine.redis.delete(stream(engine))
    assert engine.audit.trails() == ["t"]
