"""``mastery audit verify`` finds tampering with a trail, and reports it with its exit code."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.audit.entry import OPERATORS, Actor, Channel, entry
from app.audit.heads import heads_as_lines
from app.bootstrap import Engine
from app.config.settings import Settings
from cli.main import main
from cli.stack.ports import claim_port
from tests.conftest import NOW
from tests.integration.audit_calls import deeds, mastery
from tests.integration.audit_calls import engine_trail as trail


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
        """New users look there first."""
        assert "audit" in mastery(settings, "--help").stdout
        assert "verify" in mastery(settings, "audit", "--help").stdout

    def test_intact_trails_have_a_line_each(self, filled: Engine) -> None:
        """The line has the head to keep; the run itself has an entry."""
        said = verify(filled)
        assert said.exit_code == 0
        assert said.stdout.splitlines() == [
            f"t-1: 1,200 entries, intact; head {head(filled, 't-1')}",
            f"t-2: 2 entries, intact; head {head(filled, 't-2')}",
        ]
        assert deeds(filled) == [("audit.verify", {"trails": 2, "findings": 0})]
        assert verify(filled).stdout.startswith(".operators: 1 entries, intact; head 1:")

    def test_without_any_trail_it_says_so(self, engine: Engine) -> None:
        """This is no error."""
        said = verify(engine)
        assert (said.exit_code, said.stdout) == (0, "there is no trail yet\n")

    def test_findings_have_their_place_and_an_exit_code(self, filled: Engine) -> None:
        """Findings of the damaged trail have positions; the other trail is intact."""
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
        """This includes the operators' trail, which this run would otherwise start anew."""
        verify(filled)
        for name in ("t-1", OPERATORS):
            key = f"{filled.settings.key_prefix}:{{{name}}}:audit"
            filled.redis.delete(key, f"{key}-head")
        said = verify(filled)
        assert said.exit_code == 1
        assert said.stdout.count("the trail is gone") == 2

    def test_an_expected_head(self, filled: Engine) -> None:
        """An exported head must still be there; otherwise the whole trail was set back."""
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
        """All exported heads must still be there, for each verified trail."""
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
        """An attacker may remove its name as well."""
        (tmp_path / "heads").write_text("".join(heads_as_lines(trails=filled.audit, now=NOW)))
        key = f"{filled.settings.key_prefix}:{{t-2}}:audit"
        filled.redis.delete(key, f"{key}-head")
        filled.redis.srem(f"{filled.settings.key_prefix}:audited", "t-2")
        assert verify(filled, "--tenant", "t-2").exit_code == 3
        said = verify(filled, "--expect", str(tmp_path / "heads"))
        assert (said.exit_code, "the trail is gone" in said.stdout) == (1, True)

    def test_a_misspelt_tenant_is_no_tampering(self, filled: Engine) -> None:
        """It has its own exit code; findings elsewhere have priority."""
        said = verify(filled, "--tenant", "nosuch")
        assert (said.exit_code, said.stdout, said.stderr) == (3, "", "nosuch: there is no such trail\n")
        said = verify(filled, "--tenant", "nosuch", "--tenant", "t-2")
        assert (said.exit_code, said.stdout.startswith("t-2: 2 entries, intact")) == (3, True)
        filled.redis.delete(f"{filled.settings.key_prefix}:{{t-2}}:audit")
        assert verify(filled, "--tenant", "nosuch", "--tenant", "t-2").exit_code == 1

    @pytest.mark.parametrize("content", [None, "2026-10-28T12:00:00.000Z t-1 12\n", "\xff"], ids=["none", "no head", "no text"])
    def test_a_file_without_heads_is_refused(self, filled: Engine, tmp_path: Path, content: str | None) -> None:
        """The error names the file and the line."""
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
        """With an error message and an exit code; nothing is done."""
        said = verify(filled, *arguments)
        assert said.exit_code == 2
        assert "--expect" in said.output
        assert trail(filled) == []

    def test_a_run_that_cannot_be_noted_still_tells(self, filled: Engine) -> None:
        """Damage to the operators' trail must not prevent the verification of others."""
        filled.redis.set(f"{filled.settings.key_prefix}:{{{OPERATORS}}}:audit", "in the way")
        said = verify(filled)
        assert said.exit_code == 1
        assert "t-1: 1,200 entries, intact" in said.stdout
        assert "This run has no audit entry: audit trail cannot be written." in said.stderr

    def test_names_cannot_steer_the_terminal(self, engine: Engine) -> None:
        """A person who can write to Redis can choose any name for a trail."""
        engine.redis.sadd(f"{engine.settings.key_prefix}:audited", "\x1b[2Jowned", b"\xff")
        said = verify(engine)
        assert said.exit_code == 1
        assert "\\u001b[2Jowned: 0 entries, NOT intact" in said.output

    def test_without_redis_it_is_a_message(self) -> None:
        """There is an exit code too."""
        environment = {"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0", "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:9"}
        said = CliRunner().invoke(main, ["audit", "verify"], env=environment)
        assert (said.exit_code, "Error: redis is unavailable" in said.output) == (1, True)
