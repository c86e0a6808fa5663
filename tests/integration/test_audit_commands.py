"""Commands write to the audit trail before operators see or change anything."""

import json
import os
import pwd
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.audit.entry import OPERATORS, Actor, Channel, entry
from app.bootstrap import Engine
from app.config.settings import Settings
from app.events.bridge_heartbeats import BridgeState, Heartbeat
from app.events.positions import Beginning, Start
from cli.commands.operator_audit import operator
from cli.commands.replay import EventReplay
from cli.demo.summary import print_summary
from tests.conftest import NOW
from tests.integration.audit_calls import deeds, mastery
from tests.integration.audit_calls import engine_trail as trail
from tests.integration.conftest import FixedTimeApi
from tests.integration.dead_letter_desk import Dlq, junk, new_dlq
from tests.learning_events import activity, quiz
from tests.stack import Stack

ME = pwd.getpwuid(os.getuid()).pw_name


def lose(engine: Engine, records: int) -> None:
    """What a bridge records when it finds Redis empty, and this many records gone from Kafka."""
    start = Start(0, None, records, lost=records)
    assert engine.positions.begin("c/g/t", "id", Beginning.LOST, [start], previous="", is_loss=True)


@pytest.fixture
def desk(settings: Settings, kafka_bootstrap: str) -> Iterator[Dlq]:
    """Dead letters, and an engine with the tenants t-1 and t-2."""
    made = new_dlq(settings, kafka_bootstrap)
    made.engine.redis.sadd(f"{settings.key_prefix}:tenants", "t-1", "t-2")
    yield made
    made.close()


class TestDeadLetters:
    """``mastery dlq``."""

    def test_whoever_looks_at_a_letter_is_noted_with_whose_it_is(self, desk: Dlq) -> None:
        """The entry is in the tenant's trail, with the operating system's user name."""
        place = desk.letter(quiz(student_id="unmistakable"))
        assert desk.run("show", place).exit_code == 0
        (found,) = trail(desk.engine, "t-1")
        assert (found["channel"], found["role"], found["who"], found["action"]) == ("command", "operator", ME, "dlq.show")
        assert (found["outcome"], found["details"]) == ("done", {"place": str(place)})
        assert found["whose"] == [desk.engine.audit.pseudonym("t-1", "unmistakable")]
        assert "unmistakable" not in str(trail(desk.engine, "t-1"))
        assert trail(desk.engine) == []

    def test_letters_of_nobody_that_is_known_are_in_the_operators_trail(self, desk: Dlq) -> None:
        """A tenant that a dead letter merely claims has no trail; an unreadable record names no tenant."""
        strange = desk.letter(quiz(tenant_id="t-unknown", student_id="s-9"))
        for place in (strange, *junk(desk)):
            desk.run("show", place)
        assert [each["action"] for each in trail(desk.engine)] == ["dlq.show"] * 6
        assert all("whose" not in each for each in trail(desk.engine))
        assert desk.engine.audit.trails() == [OPERATORS]

    @pytest.mark.parametrize("payload", [{"tenant_id": "t-1"}, {"tenant_id": "t-1", "student_id": "a/b"}, "text", None])
    def test_a_letter_may_name_no_student(self, desk: Dlq, payload: Any) -> None:
        """Then the entry has no student."""
        desk.run("show", desk.letter(payload))
        desk.run("show", desk.produce(desk.settings.dlq_topic, b"junk", b"t-1/s-1", {}))
        assert [each.get("whose", []) for each in trail(desk.engine, "t-1")] == [[], []]

    def test_a_list_is_noted_by_tenant(self, desk: Dlq) -> None:
        """Each tenant's entry has the number of its dead letters; an empty list has one too. All share one correlation id."""
        desk.run("list")
        assert deeds(desk.engine) == [("dlq.list", {"letters": 0})]
        for tenant in ("t-1", "t-1", "t-2", "t-unknown"):
            desk.letter(quiz(tenant_id=tenant))
        desk.run("list")
        assert deeds(desk.engine, "t-1") == [("dlq.list", {"letters": 2})]
        assert deeds(desk.engine, "t-2") == [("dlq.list", {"letters": 1})]
        assert deeds(desk.engine)[1:] == [("dlq.list", {"letters": 1})]
        assert len({trail(desk.engine, name)[-1]["correlation_id"] for name in ("t-1", "t-2", OPERATORS)}) == 1

    def test_a_replay_is_noted_before_and_after(self, desk: Dlq) -> None:
        """The entries have the start, and how many dead letters of each tenant were sent."""
        for tenant in ("t-1", "t-1", "t-2"):
            desk.letter(quiz(tenant_id=tenant))
        desk.run("replay", "--dry-run", "--tenant", "t-1")
        assert deeds(desk.engine) == [("dlq.replay", {"state": "begun", "dry_run": True})]
        assert deeds(desk.engine, "t-1") == [("dlq.list", {"letters": 2})]
        assert "3 dead letters replayed" in desk.run("replay").stdout
        assert deeds(desk.engine)[1:] == [("dlq.replay", {"state": "begun", "dry_run": False})]
        assert deeds(desk.engine, "t-1")[1:] == [("dlq.replay", {"letters": 2, "state": "ended"})]
        assert deeds(desk.engine, "t-2") == [("dlq.replay", {"letters": 1, "state": "ended"})]

    def test_a_purge_is_noted_by_tenant(self, desk: Dlq) -> None:
        """After the confirmation; a dry run shows no data."""
        desk.letter(quiz(tenant_id="t-1"))
        desk.letter(quiz(tenant_id="t-2"))
        desk.run("purge", "--dry-run")
        desk.run("purge", answer="n\n")
        assert desk.engine.audit.trails() == []
        assert desk.run("purge", "--tenant", "t-2", "--yes").exit_code == 0
        assert deeds(desk.engine, "t-2") == [("dlq.purge", {"letters": 1})]
        assert (trail(desk.engine, "t-1"), trail(desk.engine)) == ([], [])

    def test_without_an_entry_nothing_is_shown_or_changed(self, desk: Dlq) -> None:
        """The command prints an error, and has an exit code."""
        place = desk.letter(quiz(student_id="unmistakable"))
        for name in ("t-1", OPERATORS):
            desk.engine.redis.set(f"{desk.settings.key_prefix}:{{{name}}}:audit", "in the way")
        for command in (("show", place), ("list",), ("replay",), ("purge", "--yes")):
            said = desk.run(*command)
            assert (said.exit_code, "Error: audit trail cannot be written" in said.output) == (1, True)
            assert "unmistakable" not in said.output
            assert "went wrong" not in said.output
        assert (desk.events(), desk.marked()) == ([], 0)


class TestOtherCommands:
    """Other commands that show or change data of students."""

    def test_letting_bridges_go_on(self, engine: Engine) -> None:
        """The entry is in the operators' trail, before the command has an effect."""
        assert mastery(engine.settings, "bridge", "resume").exit_code == 0
        assert deeds(engine) == [("bridge.resume", {"halted": 0})]
        engine.redis.set(f"{engine.settings.key_prefix}:{{{OPERATORS}}}:audit", "in the way")
        engine.bridges.report("elsewhere-1", Heartbeat(BridgeState.HALTED, 0, 0))
        said = mastery(engine.settings, "bridge", "resume")
        assert (said.exit_code, "Error: audit trail cannot be written" in said.output) == (1, True)

    def test_acknowledging_a_loss(self, engine: Engine) -> None:
        """The entry is in the operators' trail, with the loss, before the effect, and once for each loss."""
        assert "no unacknowledged loss" in mastery(engine.settings, "bridge", "acknowledge-loss").output
        lose(engine, 12)
        said = mastery(engine.settings, "bridge", "acknowledge-loss")
        assert said.output.startswith("acknowledged: Redis lost its state (20")
        assert "up to 12 events that Kafka has no longer" in said.output
        assert deeds(engine) == [("bridge.acknowledge_loss", {"records": 12})]
        assert "no unacknowledged loss" in mastery(engine.settings, "bridge", "acknowledge-loss").output

    def test_a_trail_that_began_anew_is_not_called_intact_without_a_word(self, engine: Engine) -> None:
        """It is intact from there on, but Redis lost the earlier entries. Exit code 1 until this is acknowledged."""
        engine.audit.append("t-1", entry(NOW, Channel.API, Actor("admin", "a"), "x"))
        lose(engine, 0)
        said = mastery(engine.settings, "audit", "verify")
        assert (said.exit_code, "every trail started again" in said.output) == (1, True)
        assert mastery(engine.settings, "bridge", "acknowledge-loss").exit_code == 0
        said = mastery(engine.settings, "audit", "verify")
        assert (said.exit_code, "every trail started again" in said.output) == (0, True)

    def test_feeding_a_file(self, stack: Stack, tmp_path: Path) -> None:
        """The entry has the number of events in the file."""
        path = tmp_path / "events.ndjson"
        path.write_text("\n".join(json.dumps(activity(tenant_id="t-replay")) for _ in range(17)) + "\n")
        stack.mastery("replay", str(path))
        assert ("events.replay", {"events": 17}) in deeds(stack.engine)

    def test_the_demos_summary(self, engine: Engine) -> None:
        """In the trail of each tenant, with the students that the summary names."""
        FixedTimeApi(engine).record(quiz(cohort_id="c-1"), quiz(tenant_id="t-2", student_id="s-2"))
        told = StringIO()
        print_summary(engine, EventReplay(5, 2, 0, 0, 3, 0, 1.0), Console(file=told, width=120))
        assert "s-2" in told.getvalue()
        assert "Refused events are from before their student was erased." in told.getvalue()
        for tenant, student in (("t-1", "s-1"), ("t-2", "s-2")):
            (found,) = trail(engine, tenant)
            assert (found["action"], found["whose"]) == ("summary.read", [engine.audit.pseudonym(tenant, student)])

    def test_who_has_no_name_has_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For example in a container. Environment variables are not used."""
        monkeypatch.setenv("USER", "somebody-else")
        monkeypatch.setenv("LOGNAME", "somebody-else")
        assert operator() == ME
        monkeypatch.setattr(os, "getuid", lambda: 54_321)
        assert operator() == "54321"
