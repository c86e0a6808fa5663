"""What operators do is in the audit trail before they see or change anything; and ``mastery audit verify`` as they type it."""

import json
import os
import pwd
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from app.audit.entry import OPERATORS, Actor, Channel, entry
from app.audit.heads import heads_as_lines
from app.bootstrap import Engine
from app.config.settings import Settings
from app.events.bridges import BridgeState, Heartbeat
from app.events.positions import Beginning, Start
from cli.commands.operator_audit import operator
from cli.commands.replay import EventReplay
from cli.demo.summary import print_summary
from cli.main import main
from cli.stack.ports import claim_port
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi
from tests.integration.dead_letter_desk import Dlq, junk, new_dlq
from tests.learning_events import activity, quiz
from tests.stack import Stack

ME = pwd.getpwuid(os.getuid()).pw_name


def trail(engine: Engine, name: str = OPERATORS) -> list[dict[str, Any]]:
    """The entries as they are stored, the oldest first."""
    return [json.loads(fields[b"entry"]) for _, fields in engine.audit.oldest_first(name)]


def deeds(engine: Engine, name: str = OPERATORS) -> list[tuple[str, dict[str, Any]]]:
    """What was done, with the details."""
    return [(each["action"], each.get("details", {})) for each in trail(engine, name)]


def mastery(settings: Settings, *arguments: str) -> Result:
    """A command in this process."""
    environment = {
        "MASTERY_REDIS_URL": settings.redis_url,
        "MASTERY_KAFKA_BOOTSTRAP": settings.kafka_bootstrap or "127.0.0.1:9",
        "MASTERY_KEY_PREFIX": settings.key_prefix,
    }
    done = CliRunner().invoke(main, arguments, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def lose(engine: Engine, records: int) -> None:
    """What a bridge notes that finds Redis empty, and so many records gone from Kafka."""
    start = Start(0, None, records, lost=records)
    assert engine.positions.begin("c/g/t", "id", Beginning.LOST, [start], previous="", is_loss=True)


@pytest.fixture
def desk(settings: Settings, kafka_bootstrap: str) -> Iterator[Dlq]:
    """Letters, and an engine that knows the tenants t-1 and t-2."""
    made = new_dlq(settings, kafka_bootstrap)
    made.engine.redis.sadd(f"{settings.key_prefix}:tenants", "t-1", "t-2")
    yield made
    made.close()


class TestDeadLetters:
    """``mastery dlq``."""

    def test_whoever_looks_at_a_letter_is_noted_with_whose_it_is(self, desk: Dlq) -> None:
        """In the trail of its tenant, by the name that the operating system knows."""
        place = desk.letter(quiz(student_id="unmistakable"))
        assert desk.run("show", place).exit_code == 0
        (found,) = trail(desk.engine, "t-1")
        assert (found["channel"], found["role"], found["who"], found["action"]) == ("command", "operator", ME, "dlq.show")
        assert (found["outcome"], found["details"]) == ("done", {"place": str(place)})
        assert found["whose"] == [desk.engine.audit.pseudonym("t-1", "unmistakable")]
        assert "unmistakable" not in str(trail(desk.engine, "t-1"))
        assert trail(desk.engine) == []

    def test_letters_of_nobody_that_is_known_are_in_the_operators_trail(self, desk: Dlq) -> None:
        """A tenant that a letter merely claims has none; what is no letter names nobody."""
        strange = desk.letter(quiz(tenant_id="t-unknown", student_id="s-9"))
        for place in (strange, *junk(desk)):
            desk.run("show", place)
        assert [each["action"] for each in trail(desk.engine)] == ["dlq.show"] * 6
        assert all("whose" not in each for each in trail(desk.engine))
        assert desk.engine.audit.trails() == [OPERATORS]

    @pytest.mark.parametrize("payload", [{"tenant_id": "t-1"}, {"tenant_id": "t-1", "student_id": "a/b"}, "text", None])
    def test_a_letter_may_name_no_student(self, desk: Dlq, payload: Any) -> None:
        """Then the entry names none."""
        desk.run("show", desk.letter(payload))
        desk.run("show", desk.produce(desk.settings.dlq_topic, b"junk", b"t-1/s-1", {}))
        assert [each.get("whose", []) for each in trail(desk.engine, "t-1")] == [[], []]

    def test_a_list_is_noted_by_tenant(self, desk: Dlq) -> None:
        """With how many of its letters were shown; an empty one, too. One id ties them together."""
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
        """That it began, and how many letters of each tenant were sent."""
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
        """When somebody agreed to it; a dry run shows nobody's data."""
        desk.letter(quiz(tenant_id="t-1"))
        desk.letter(quiz(tenant_id="t-2"))
        desk.run("purge", "--dry-run")
        desk.run("purge", answer="n\n")
        assert desk.engine.audit.trails() == []
        assert desk.run("purge", "--tenant", "t-2", "--yes").exit_code == 0
        assert deeds(desk.engine, "t-2") == [("dlq.purge", {"letters": 1})]
        assert (trail(desk.engine, "t-1"), trail(desk.engine)) == ([], [])

    def test_without_an_entry_nothing_is_shown_or_changed(self, desk: Dlq) -> None:
        """A message and an exit code instead."""
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
    """Whatever shows or changes something of students."""

    def test_letting_bridges_go_on(self, engine: Engine) -> None:
        """In the operators' trail, before it is done."""
        assert mastery(engine.settings, "bridge", "resume").exit_code == 0
        assert deeds(engine) == [("bridge.resume", {"halted": 0})]
        engine.redis.set(f"{engine.settings.key_prefix}:{{{OPERATORS}}}:audit", "in the way")
        engine.bridges.report("elsewhere-1", Heartbeat(BridgeState.HALTED, 0, 0))
        said = mastery(engine.settings, "bridge", "resume")
        assert (said.exit_code, "Error: audit trail cannot be written" in said.output) == (1, True)

    def test_acknowledging_a_loss(self, engine: Engine) -> None:
        """In the operators' trail, with how much; before that, and once for each loss."""
        assert "nothing is lost" in mastery(engine.settings, "bridge", "acknowledge-loss").output
        lose(engine, 12)
        said = mastery(engine.settings, "bridge", "acknowledge-loss")
        assert said.output.startswith("acknowledged: Redis lost its state (20")
        assert "up to 12 events that Kafka has no longer" in said.output
        assert deeds(engine) == [("bridge.acknowledge_loss", {"records": 12})]
        assert "nothing is lost" in mastery(engine.settings, "bridge", "acknowledge-loss").output

    def test_a_trail_that_began_anew_is_not_called_intact_without_a_word(self, engine: Engine) -> None:
        """It is, as far as it goes; but Redis has lost what was before. Exit code 1 until that is acknowledged."""
        engine.audit.append("t-1", entry(NOW, Channel.API, Actor("admin", "a"), "x"))
        lose(engine, 0)
        said = mastery(engine.settings, "audit", "verify")
        assert (said.exit_code, "every trail began anew" in said.output) == (1, True)
        assert mastery(engine.settings, "bridge", "acknowledge-loss").exit_code == 0
        said = mastery(engine.settings, "audit", "verify")
        assert (said.exit_code, "every trail began anew" in said.output) == (0, True)

    def test_feeding_a_file(self, stack: Stack, tmp_path: Path) -> None:
        """With how many events are in it."""
        path = tmp_path / "events.ndjson"
        path.write_text("\n".join(json.dumps(activity(tenant_id="t-replay")) for _ in range(17)) + "\n")
        stack.mastery("replay", str(path))
        assert ("events.replay", {"events": 17}) in deeds(stack.engine)

    def test_the_demos_summary(self, engine: Engine) -> None:
        """In the trail of each tenant, with the students that it names."""
        FixedTimeApi(engine).record(quiz(cohort_id="c-1"), quiz(tenant_id="t-2", student_id="s-2"))
        told = StringIO()
        print_summary(engine, EventReplay(2, 2, 0, 0, 0, 1.0), Console(file=told, width=120))
        assert "s-2" in told.getvalue()
        for tenant, student in (("t-1", "s-1"), ("t-2", "s-2")):
            (found,) = trail(engine, tenant)
            assert (found["action"], found["whose"]) == ("summary.read", [engine.audit.pseudonym(tenant, student)])

    def test_who_has_no_name_has_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a container, say. The environment is not asked."""
        monkeypatch.setenv("USER", "somebody-else")
        monkeypatch.setenv("LOGNAME", "somebody-else")
        assert operator() == ME
        monkeypatch.setattr(os, "getuid", lambda: 54_321)
        assert operator() == "54321"


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Two trails of 1,200 and 2 entries."""
    made = entry(NOW, Channel.API, Actor("admin", "kim"), "mastery.query")
    engine.audit.append("t-1", *[made] * 1200)
    engine.audit.append("t-2", *[made] * 2)
    return engine


def verify(engine: Engine, *arguments: str) -> Result:
    return mastery(engine.settings, "audit", "verify", *arguments)


def head(engine: Engine, name: str) -> str:
    return str(engine.audit.ends(name).head)


class TestVerify:
    """``mastery audit verify``."""

    def test_help_names_it(self, settings: Settings) -> None:
        """Where a stranger looks first."""
        assert "audit" in mastery(settings, "--help").stdout
        assert "verify" in mastery(settings, "audit", "--help").stdout

    def test_intact_trails_have_a_line_each(self, filled: Engine) -> None:
        """With the head to keep; and the run itself is noted."""
        said = verify(filled)
        assert said.exit_code == 0
        assert said.stdout.splitlines() == [
            f"t-1: 1,200 entries, intact; head {head(filled, 't-1')}",
            f"t-2: 2 entries, intact; head {head(filled, 't-2')}",
        ]
        assert deeds(filled) == [("audit.verify", {"trails": 2, "findings": 0})]
        assert verify(filled).stdout.startswith(".operators: 1 entries, intact; head 1:")

    def test_without_any_trail_it_says_so(self, engine: Engine) -> None:
        """Which is no error."""
        said = verify(engine)
        assert (said.exit_code, said.stdout) == (0, "there is no trail yet\n")

    def test_findings_have_their_place_and_an_exit_code(self, filled: Engine) -> None:
        """Of the damaged trail; the other is intact."""
        key = f"{filled.settings.key_prefix}:{{t-1}}:audit"
        ids = [record_id for record_id, _ in filled.audit.oldest_first("t-1")]
        filled.redis.xdel(key, ids[0], ids[500], ids[1199])
        said = verify(filled)
        assert said.exit_code == 1
        assert said.stdout.splitlines()[:4] == [
            "t-1: 1,197 entries, NOT intact:",
            f"  entry 1 is missing, before {ids[1]}",
            f"  entry 501 is missing, before {ids[501]}",
            "  the newest entry 1200 is missing",
        ]
        assert "t-2: 2 entries, intact" in said.stdout
        assert deeds(filled) == [("audit.verify", {"trails": 2, "findings": 3})]
        assert verify(filled, "--tenant", "t-2").exit_code == 0

    def test_a_trail_that_is_gone_is_found(self, filled: Engine) -> None:
        """Also the operators' own, which this run would else begin anew."""
        verify(filled)
        for name in ("t-1", OPERATORS):
            key = f"{filled.settings.key_prefix}:{{{name}}}:audit"
            filled.redis.delete(key, f"{key}-head")
        said = verify(filled)
        assert said.exit_code == 1
        assert said.stdout.count("the trail is gone") == 2

    def test_an_expected_head(self, filled: Engine) -> None:
        """Noted earlier, it must still be there: else the trail was set back as a whole."""
        noted = head(filled, "t-2")
        assert verify(filled, "--tenant", "t-2", "--expect", noted).exit_code == 0
        key = f"{filled.settings.key_prefix}:{{t-2}}:audit"
        (_, fields), (second, _) = filled.audit.oldest_first("t-2")
        filled.redis.xdel(key, second)
        filled.redis.hset(f"{key}-head", mapping={"sequence": 1, "mac": fields[b"mac"]})
        assert verify(filled, "--tenant", "t-2").exit_code == 0
        said = verify(filled, "--tenant", "t-2", "--expect", noted)
        assert said.exit_code == 1
        assert f"the expected head {noted} is not in the trail" in said.stdout

    def test_a_file_of_heads(self, filled: Engine, tmp_path: Path) -> None:
        """All that were exported must still be there, of each trail that is verified."""
        exported = tmp_path / "heads"
        lines = list(heads_as_lines(trails=filled.audit, now=NOW))
        filled.audit.append("t-2", entry(NOW, Channel.API, Actor("admin", "kim"), "mastery.query"))
        lines += heads_as_lines(trails=filled.audit, now=NOW)
        exported.write_text("".join(lines) + "\n")
        for tenants in ([], ["--tenant", "t-2"]):
            assert verify(filled, "--expect", str(exported), *tenants).exit_code == 0
        key = f"{filled.settings.key_prefix}:{{t-2}}:audit"
        (_, fields), *later = filled.audit.oldest_first("t-2")
        filled.redis.xdel(key, *(each[0] for each in later))
        filled.redis.hset(f"{key}-head", mapping={"sequence": 1, "mac": fields[b"mac"]})
        assert verify(filled).exit_code == 0
        said = verify(filled, "--expect", str(exported))
        assert said.exit_code == 1
        assert f"the expected head {lines[1].split()[2]} is not in the trail (nor are 1 later ones)" in said.stdout
        assert verify(filled, "--expect", str(exported), "--tenant", "t-1").exit_code == 0

    def test_a_trail_that_only_the_file_knows_is_gone(self, filled: Engine, tmp_path: Path) -> None:
        """Whoever removed everything took its name away, too."""
        (tmp_path / "heads").write_text("".join(heads_as_lines(trails=filled.audit, now=NOW)))
        key = f"{filled.settings.key_prefix}:{{t-2}}:audit"
        filled.redis.delete(key, f"{key}-head")
        filled.redis.srem(f"{filled.settings.key_prefix}:audited", "t-2")
        assert verify(filled, "--tenant", "t-2").exit_code == 3
        said = verify(filled, "--expect", str(tmp_path / "heads"))
        assert (said.exit_code, "the trail is gone" in said.stdout) == (1, True)

    def test_a_misspelt_tenant_is_no_tampering(self, filled: Engine) -> None:
        """It has an exit code of its own; findings elsewhere come first."""
        said = verify(filled, "--tenant", "nosuch")
        assert (said.exit_code, said.stdout, said.stderr) == (3, "", "nosuch: there is no such trail\n")
        said = verify(filled, "--tenant", "nosuch", "--tenant", "t-2")
        assert (said.exit_code, said.stdout.startswith("t-2: 2 entries, intact")) == (3, True)
        filled.redis.delete(f"{filled.settings.key_prefix}:{{t-2}}:audit")
        assert verify(filled, "--tenant", "nosuch", "--tenant", "t-2").exit_code == 1

    @pytest.mark.parametrize("content", [None, "2026-10-28T12:00:00.000Z t-1 12\n", "\xff"], ids=["none", "no head", "no text"])
    def test_a_file_without_heads_is_refused(self, filled: Engine, tmp_path: Path, content: str | None) -> None:
        """With its name, and the line."""
        exported = tmp_path / "heads"
        if content is not None:
            exported.write_bytes(content.encode("latin-1"))
        said = verify(filled, "--expect", str(exported))
        assert (said.exit_code, "a file of exported heads" in said.output) == (2, True)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--expect", "2:" + "0" * 64],
            ["--expect", "2:" + "0" * 64, "--tenant", "t-1", "--tenant", "t-2"],
            ["--expect", "2", "--tenant", "t-1"],
            ["--expect", "2:xyz", "--tenant", "t-1"],
        ],
    )
    def test_what_is_typed_wrong_is_told(self, filled: Engine, arguments: list[str]) -> None:
        """In a message, with an exit code; and nothing was done."""
        said = verify(filled, *arguments)
        assert said.exit_code == 2
        assert "--expect" in said.output
        assert trail(filled) == []

    def test_a_run_that_cannot_be_noted_still_tells(self, filled: Engine) -> None:
        """Somebody who damaged the operators' trail cannot keep others from being verified."""
        filled.redis.set(f"{filled.settings.key_prefix}:{{{OPERATORS}}}:audit", "in the way")
        said = verify(filled)
        assert said.exit_code == 1
        assert "t-1: 1,200 entries, intact" in said.stdout
        assert "This run leaves no entry: audit trail cannot be written." in said.stderr

    def test_names_cannot_steer_the_terminal(self, engine: Engine) -> None:
        """Somebody who can write to Redis may call a trail anything."""
        engine.redis.sadd(f"{engine.settings.key_prefix}:audited", "\x1b[2Jowned", b"\xff")
        said = verify(engine)
        assert said.exit_code == 1
        assert "\\u001b[2Jowned: 0 entries, NOT intact" in said.output

    def test_without_redis_it_is_a_message(self) -> None:
        """And an exit code."""
        environment = {"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0", "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:9"}
        said = CliRunner().invoke(main, ["audit", "verify"], env=environment)
        assert (said.exit_code, "Error: redis is unavailable" in said.output) == (1, True)
