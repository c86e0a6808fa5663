"""Tampering with an audit trail in Redis is found, on every server."""

import pytest

from app.audit.chain import Head
from app.audit.entry import OPERATORS, SystemAction
from app.audit.verify_trail import MAX_FINDINGS
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from tests.contracts.audit_trails import ATTACKS, COUNT, another, fill, found, ids, query, records, remove, set_head, stream


class TestTampering:
    """Tampering by a person who can write to Redis, but does not have the key."""

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_it_is_found(self, engine: Engine, attack: str) -> None:
        """The finding has a position, and entries written afterwards do not hide it."""
        do, expected = ATTACKS[attack]
        fill(engine, COUNT)
        do(engine)
        assert any(each.startswith(expected) for each in found(engine)), found(engine)

    @pytest.mark.parametrize("attack", [attack for attack in ATTACKS if "delete" not in attack and "type" not in attack])
    def test_it_stays_found(self, engine: Engine, attack: str) -> None:
        """It is still found when the engine writes more entries."""
        fill(engine, COUNT)
        ATTACKS[attack][0](engine)
        try:
            engine.audit.append("t", query())
        except DependencyUnavailable:
            assert attack == "the head broken"
        assert found(engine)

    def test_a_trail_that_was_set_back_as_a_whole_is_found_by_a_head_that_was_noted_elsewhere(self, engine: Engine) -> None:
        """Stream and head were set back together to an earlier, intact state."""
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
        """It logs the expected head, and adds an entry to the operators' trail, once. The request is still processed."""
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
        """After the trail was set back, another process wrote the same number of entries."""
        before = fill(engine, 5)
        fill(engine, 2)
        remove(-1, -2)(engine)
        set_head(engine, before)
        another(engine).append("t", query(1, who="lee"), query(2, who="lee"))
        assert "was set back" not in caplog.text
        engine.audit.append("t", query())
        assert "the audit trail t was set back from entry 7 to 7" in caplog.text

    def test_the_operators_own_trail(self, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
        """Setting it back is detected too."""
        fill(engine, 3, OPERATORS)
        engine.redis.delete(stream(engine, OPERATORS), f"{stream(engine, OPERATORS)}-head")
        engine.audit.append(OPERATORS, query())
        assert [each[b"entry"].count(b"audit.set-back") for each in records(engine, OPERATORS)] == [0, 1]
        assert "the audit trail .operators was set back from entry 3 to 0" in caplog.text

    def test_races_are_no_set_back(self, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
        """If another process was faster, the trail simply continues."""
        other = another(engine)
        for _ in range(3):
            engine.audit.append("t", query())
            other.append("t", query(), query())
        assert caplog.records == []
        assert engine.audit.trails() == ["t"]

    def test_findings_are_bounded(self, engine: Engine) -> None:
        """Massive damage does not fill the verifier's memory."""
        with engine.redis.pipeline(transaction=False) as pipeline:
            for _ in range(MAX_FINDINGS + 500):
                pipeline.xadd(stream(engine), {"junk": ""})
            pipeline.execute()
        assert len(found(engine)) == MAX_FINDINGS


def test_a_trail_that_was_taken_off_the_list_is_verified_all_the_same(engine: Engine) -> None:
    """The attacker may remove the name as well; any remaining key of the trail reveals it."""
    fill(engine, 5)
    engine.redis.xdel(stream(engine), ids(engine)[2])
    engine.redis.srem(f"{engine.settings.key_prefix}:audited", "t")
    assert engine.audit.trails() == ["t"]
    engine.redis.delete(stream(engine))
    assert engine.audit.trails() == ["t"]
