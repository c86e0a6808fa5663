"""``mastery erase``: students from the command line, from a file, and a whole tenant."""

from datetime import UTC, datetime, timedelta
from typing import Any

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


def test_students_of_arguments_and_of_a_file(live_api: LiveApi) -> None:
    """Each is erased, once the command has ended; the others stay; the audit trail names the operator."""
    send(live_api, "s-1", "s-2", "s-3", "s-4")
    tenant = live_api.tenant
    done = live_api.stack.mastery("erase", f"{tenant}/s-1", "--file", "-", given=f"{tenant}/s-2\n\n{tenant}/s-3\n")
    assert done.stdout == "accepted: 3 students\nerased: 3 students\n"
    assert known(live_api) == {"s-4"}
    trail = engine_trail(live_api.stack.engine, tenant)
    (asked,) = [each for each in trail if each["action"] == "student.erase"]
    assert (asked["role"], asked["channel"], len(asked["whose"])) == ("operator", "command", 3)
    assert len([each for each in trail if each["action"] == "student.erased"]) == 3


def test_a_bad_line_erases_nobody(live_api: LiveApi) -> None:
    """The message names the line, and not what is in it."""
    send(live_api, "s-1")
    done = live_api.stack.mastery("erase", "--file", "-", given=f"{live_api.tenant}/s-1\ns-2 secret\n", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: line 2: must be TENANT/STUDENT; nothing was erased\n"
    assert known(live_api) == {"s-1"}


def test_a_whole_tenant(live_api: LiveApi) -> None:
    """After a question; the answer no erases nobody."""
    students = [f"s-{number}" for number in range(20)]
    send(live_api, *students)
    no = live_api.stack.mastery("erase", "--tenant", live_api.tenant, given="n\n", check=False)
    assert f"Erase all 20 students of {live_api.tenant}?" in no.stdout
    assert (no.returncode, len(known(live_api))) == (1, 20)
    done = live_api.stack.mastery("erase", "--tenant", live_api.tenant, "--yes")
    assert done.stdout == f"accepted: all students of {live_api.tenant}\nerased: all students of {live_api.tenant}\n"
    assert known(live_api) == set()


def test_one_way_at_a_time(live_api: LiveApi) -> None:
    """Students or a tenant, and at least one of them."""
    for arguments in ([], ["--tenant", "t", "t/s-1"]):
        done = live_api.stack.mastery("erase", *arguments, check=False)
        assert done.returncode == 2
        assert "give students, --file, or --tenant alone" in done.stderr
