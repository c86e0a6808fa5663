"""``mastery erase``: students from the command line, from a file, and a whole tenant."""

import os
import pty
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.commands.erase import RECEIPTS
from tests.integration.audit_calls import engine_trail
from tests.integration.conftest import LiveApi
from tests.learning_events import quiz
from tests.stack import wait_for

SECONDS = 30.0


def send(api: LiveApi, *students: str) -> None:
    """Send an event of each student, and return when all are known."""
    timestamp = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    events: list[dict[str, Any]] = [quiz(student_id=student, timestamp=timestamp) for student in students]
    for event in events:
        del event["tenant_id"]
    assert api.post("/mastery/ingest", {"events": events}).status_code == 202
    wait_for(lambda: set(students) <= known(api), SECONDS)


def known(api: LiveApi) -> set[str]:
    return api.stack.engine.mastery.scores.members(api.tenant)


def erase(api: LiveApi, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return api.stack.mastery("erase", *arguments, given=given, check=False)


def erase_in_terminal(api: LiveApi, *arguments: str, answer: str) -> str:
    """Run the command with a terminal as its standard input, answer its question, and return its output."""
    ours, its = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [*api.stack.command, "erase", *arguments],
            env=api.stack.environment,
            stdin=its,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(its)
    return done.stdout


def assert_usage_error(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"Error: {message}\n")


def test_students_of_arguments_and_of_a_file(live_api: LiveApi) -> None:
    """Each is erased, once the command has ended; the others stay; the audit trail names the operator."""
    send(live_api, "s-1", "s-2", "s-3", "s-4")
    tenant = live_api.tenant
    done = erase(live_api, f"{tenant}/s-1", "--file", "-", given=f"{tenant}/s-2\n\n{tenant}/s-3\n")
    assert done.stdout == f"accepted: 3 students\nerased: 3 students\n{RECEIPTS}\n"
    assert known(live_api) == {"s-4"}
    trail = engine_trail(live_api.stack.engine, tenant)
    (asked,) = [each for each in trail if each["action"] == "student.erase"]
    assert (asked["role"], asked["channel"], len(asked["whose"])) == ("operator", "command", 3)
    assert len([each for each in trail if each["action"] == "student.erased"]) == 3


def test_of_whom_nothing_was_stored(live_api: LiveApi) -> None:
    """Perhaps their ids are misspelt, so the command says how many there are, and where they were given; it names none."""
    send(live_api, "s-1", "s-2")
    tenant = live_api.tenant
    done = erase(live_api, f"{tenant}/s-1", f"{tenant}/s-one", "--file", "-", given=f"\n{tenant}/s-2\n{tenant}/s-two\n")
    assert "erased: 4 students; nothing was stored of 2 of them (argument 2, line 3)\n" in done.stdout
    assert (done.returncode, known(live_api)) == (0, set())
    assert "erased: 1 student; nothing was stored of 1 of them (argument 1)\n" in erase(live_api, f"{tenant}/s-1").stdout
    many = [f"{tenant}/nobody-{number}" for number in range(12)]
    assert "argument 9, argument 10, …)" in erase(live_api, *many).stdout


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["{tenant}/s-1", "s-2 secret"], None, "argument 2: must be TENANT/STUDENT"),
        (["{tenant}/s-1", ""], None, "argument 2: must be TENANT/STUDENT"),
        (["{tenant}/s-1", "--file", "-"], "\ns-2 secret\n", "line 2: must be TENANT/STUDENT"),
    ],
)
def test_what_is_no_student_erases_nobody(live_api: LiveApi, arguments: list[str], given: str | None, message: str) -> None:
    """The message says where it is, and not what it is."""
    send(live_api, "s-1")
    done = erase(live_api, *(each.format(tenant=live_api.tenant) for each in arguments), given=given)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {message}; nothing was erased\n"
    assert known(live_api) == {"s-1"}


def test_an_unknown_tenant_erases_nobody(live_api: LiveApi) -> None:
    """It is a mistake, as in a path with a typo: exit code 3. The question of --tenant is not asked."""
    send(live_api, "s-1")
    good = f"{live_api.tenant}/s-1"
    for arguments, given, place in (
        ([good, "nosuch/s-1"], None, "argument 2"),
        ([good, "--file", "-"], f"{good}\nnosuch/s-1\n", "line 2"),
        (["--tenant", "nosuch"], None, "--tenant"),
    ):
        done = erase(live_api, *arguments, given=given)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == f"Error: {place}: there is no such tenant: nosuch; nothing was erased\n"
    assert known(live_api) == {"s-1"}
    assert "nosuch" not in live_api.stack.engine.mastery.tenants.all()


def test_a_file_of_windows(live_api: LiveApi, tmp_path: Path) -> None:
    """With a byte order mark and its ends of lines. One that is not in UTF-8 is refused without showing what is in it."""
    send(live_api, "s-1", "s-2")
    path = tmp_path / "students.txt"
    path.write_bytes("\r\n".join(f"{live_api.tenant}/s-{number}" for number in (1, 2)).encode("utf-16"))
    done = erase(live_api, "--file", str(path))
    assert (done.returncode, done.stderr) == (1, "Error: --file: is not in UTF-8; nothing was erased\n")
    path.write_bytes(path.read_bytes().decode("utf-16").encode("utf-8-sig"))
    assert "erased: 2 students\n" in erase(live_api, "--file", str(path)).stdout
    assert known(live_api) == set()


def test_a_file_is_confirmed_in_a_terminal(live_api: LiveApi, tmp_path: Path) -> None:
    """The answer no erases nobody; --yes does not ask. Scripts without a terminal are not asked."""
    send(live_api, "s-1", "s-2")
    path = tmp_path / "students.txt"
    path.write_text(f"{live_api.tenant}/s-1\n")
    said = erase_in_terminal(live_api, "--file", str(path), answer="n")
    assert ("Erase 1 student?" in said, "accepted" in said) == (True, False)
    assert known(live_api) == {"s-1", "s-2"}
    assert "erased: 1 student\n" in erase_in_terminal(live_api, "--file", str(path), answer="y")
    path.write_text(f"{live_api.tenant}/s-2\n")
    assert "Erase" not in erase_in_terminal(live_api, "--file", str(path), "--yes", answer="n")
    assert known(live_api) == set()


def test_a_whole_tenant(live_api: LiveApi) -> None:
    """After a question; the answer no erases nobody."""
    students = [f"s-{number}" for number in range(20)]
    send(live_api, *students)
    tenant = live_api.tenant
    no = erase(live_api, "--tenant", tenant, given="n\n")
    assert f"Erase all 20 students of {tenant}?" in no.stdout
    assert (no.returncode, len(known(live_api))) == (1, 20)
    done = erase(live_api, "--tenant", tenant, "--yes")
    assert done.stdout == f"accepted: all students of {tenant}\nerased: all students of {tenant}\n{RECEIPTS}\n"
    assert known(live_api) == set()


def test_wrong_usage(live_api: LiveApi) -> None:
    """Students or a tenant, and at least one of them; --yes only where there is a question."""
    for arguments in ([], ["--tenant", "t", "t/s-1"], ["--tenant", "t", "--file", "-"]):
        assert_usage_error(erase(live_api, *arguments, given=""), "give students, --file, or --tenant alone")
    assert_usage_error(erase(live_api, "t/s-1", "--yes"), "--yes is for --tenant and --file")
    for empty in ("", "\ufeff", "\n \n"):
        assert_usage_error(erase(live_api, "--file", "-", given=empty), "no student is given")
