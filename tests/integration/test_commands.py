"""The ``mastery`` command as users run it: as a process, with its output and exit code."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from app.clock import day_number
from tests.learning_events import activity
from tests.production import PRODUCTION
from tests.stack import Stack, wait_for, without_settings

SECONDS = 60.0
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with its own environment."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(
        command, env=without_settings() | variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def assert_refused(finished: subprocess.CompletedProcess[str], message: str) -> None:
    """It did nothing, printed one line with the reason, and no traceback."""
    said = finished.stdout + finished.stderr
    assert finished.returncode not in {0, -signal.SIGTERM}
    assert message in said.replace("\n", " ")
    assert "Traceback" not in said


def test_help_names_every_command() -> None:
    """New users type it first."""
    said = run("--help").stdout
    for command in (
        "up",
        "down",
        "demo",
        "replay",
        "token",
        "doctor",
        "batch",
        "dlq",
        "bridge",
        "topics",
        "audit",
        "erase",
        "evaluate",
    ):
        assert command in said


def test_replay_counts_what_became_of_every_line(stack: Stack, events_file: Path) -> None:
    """In = applied + duplicates + expired + refused + dead-lettered; blank lines do not count."""
    said = stack.mastery("replay", str(events_file)).stdout.replace("\n", " ")
    assert "6 events: 2 applied, 1 duplicates, 1 expired, 0 refused (their students were erased), 2 dead-lettered" in said


def test_replay_tells_the_first_reasons_with_their_lines(stack: Stack, events_file: Path) -> None:
    """Before anything is sent, so that the file can be fixed."""
    said = stack.mastery("replay", str(events_file)).stdout
    assert "2 of 6 lines are not valid events.\n  line 5: data.total_questions: Expected `int` >= 1" in said
    assert "line 7: not JSON in UTF-8" in said


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_replay_takes_what_comes_through_a_pipe(stack: Stack, source: str) -> None:
    """As in `zcat a.gz | mastery replay -`, though the file is read twice."""
    events = "\n".join(json.dumps(activity(tenant_id=uuid4().hex, timestamp=YESTERDAY)) for _ in range(3))
    assert "3 events: 3 applied" in stack.mastery("replay", source, given=events).stdout


def test_replay_fails_where_nothing_was_applied(stack: Stack, tmp_path: Path) -> None:
    """If all evidence is too old, the command fails, and says what to do."""
    path = tmp_path / "old.ndjson"
    path.write_text(json.dumps(activity(tenant_id=uuid4().hex, timestamp="2020-01-01T00:00:00Z")))
    finished = stack.mastery("replay", str(path), check=False)
    assert (1, True) == (finished.returncode, "--shift-to-now" in finished.stdout)


def test_replay_of_an_erased_students_events(stack: Stack, tmp_path: Path) -> None:
    """They are counted as refused. With nothing else in the file, the command fails, without advice to move them to now."""
    tenant = uuid4().hex
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(json.dumps(activity(tenant_id=tenant, timestamp=YESTERDAY)) for _ in range(2)))
    assert "2 events: 2 applied" in stack.mastery("replay", str(path)).stdout
    stack.mastery("erase", f"{tenant}/s-1")
    finished = stack.mastery("replay", str(path), check=False)
    assert "2 events: 0 applied, 0 duplicates, 0 expired, 2 refused (their students were erased), 0 dead" in finished.stdout
    assert (finished.returncode, "No event was applied.\n" in finished.stdout) == (1, True)
    assert "--shift-to-now" not in finished.stdout


def test_replay_refuses_what_would_halt_the_bridge(stack: Stack, tmp_path: Path) -> None:
    """More than half of many lines are invalid: this would stop the events of every tenant."""
    path = tmp_path / "mixed.ndjson"
    path.write_text("\n".join([json.dumps(activity(timestamp=YESTERDAY))] * 99 + ["{broken"] * 101))
    assert_refused(stack.mastery("replay", str(path), check=False), "the bridge would halt for every tenant")


def test_replay_shifts_the_newest_day_to_yesterday(stack: Stack, tmp_path: Path) -> None:
    """By whole days, whatever the format of the timestamps."""
    tenant = uuid4().hex
    written = [
        activity(tenant_id=tenant, timestamp="2020-03-01T23:59:59+01:00"),
        activity(tenant_id=tenant, timestamp=1_582_970_400_000),  # 2020-02-29T10:00Z
    ]
    path = tmp_path / "old.ndjson.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, written)).encode()))
    stack.mastery("replay", str(path), "--shift-to-now", "--rate", "1000")
    today = day_number(datetime.now(UTC))
    assert set(stack.engine.mastery.facts.read(tenant, "s-1", today).days) == {today - 1, today - 2}


def test_replay_of_a_file_that_cannot_be_read(stack: Stack, tmp_path: Path) -> None:
    """Missing, a folder, empty, or a truncated gzip file."""
    broken = tmp_path / "broken.ndjson.gz"
    broken.write_bytes(gzip.compress(os.urandom(10_000))[:5_000])
    (tmp_path / "empty.ndjson").touch()
    assert_refused(stack.mastery("replay", str(tmp_path / "nowhere"), check=False), "does not exist")
    assert_refused(stack.mastery("replay", str(tmp_path), check=False), "is a directory")
    assert_refused(stack.mastery("replay", str(tmp_path / "empty.ndjson"), check=False), "has no events")
    assert_refused(stack.mastery("replay", str(broken), check=False), "cannot be read")


def test_replay_without_a_stack(tmp_path: Path, events_file: Path) -> None:
    """The error says how to start one."""
    refused = run("replay", str(events_file), MASTERY_DATA_DIR=str(tmp_path))
    assert_refused(refused, "start one with `mastery up`")


def test_token_prints_a_token_and_nothing_else(stack: Stack) -> None:
    """For use in a shell: TOKEN=$(mastery token …). The API accepts it."""
    said = stack.mastery("token", "--role", "student", "--tenant", "nobody", "--subject", "s-1").stdout
    assert said.count("\n") == 1
    answer = requests.post(
        f"{stack.running.http_url}/mastery/query",
        json={"student_id": "s-1"},
        headers={"Authorization": f"Bearer {said.strip()}"},
        timeout=10,
    )
    assert answer.status_code == 404


def test_a_token_of_a_teacher_without_cohorts() -> None:
    """It is printed, and a hint beside it says that it sees nothing."""
    without, with_cohort = (run("token", "--role", "teacher", "--tenant", "t", *more) for more in ((), ("--cohorts", "c-1")))
    assert (without.stdout.count("\n"), with_cohort.stdout.count("\n"), with_cohort.stderr) == (1, 1, "")
    assert without.stderr == "This teacher sees no cohort: name some with --cohorts.\n"


def test_token_is_refused_in_production() -> None:
    """There, an identity provider issues tokens."""
    assert_refused(
        run("token", "--role", "admin", "--tenant", "t", **PRODUCTION), "development tokens are refused in production"
    )


@pytest.mark.parametrize(
    "arguments", [("--tenant", "a/b"), ("--tenant", "t", "--subject", "é"), ("--tenant", "t", "--cohorts", "a b,c")]
)
def test_token_refuses_names_that_the_api_would_refuse(arguments: tuple[str, ...]) -> None:
    """A token that the API rejects would be useless."""
    assert_refused(run("token", "--role", "admin", *arguments), "1 to 50 letters")


def test_doctor_shows_settings_and_that_everything_answers(stack: Stack) -> None:
    """Secrets are redacted; each dependency has a line."""
    said = stack.mastery("doctor").stdout
    assert "MASTERY_RETENTION_DAYS" in said
    assert "development-secret" not in said
    for dependency in ("redis", "broker", "kafka", "worker", "bridge", "state"):
        assert f"✓ {dependency}: ok" in said


def test_doctor_without_a_stack(tmp_path: Path) -> None:
    """It says so, and what it therefore does not know."""
    said = run("doctor", MASTERY_DATA_DIR=str(tmp_path), MASTERY_HTP_PORT="1")
    assert said.returncode == 1
    assert "MASTERY_HTP_PORT is not a setting and is ignored; did you mean MASTERY_HTTP_PORT?" in said.stderr
    assert "nothing to ping" in said.stdout


def test_doctor_when_nothing_answers(tmp_path: Path) -> None:
    """Each dependency has its own line, and nothing hangs."""
    closed = {"MASTERY_REDIS_URL": "redis://127.0.0.1:9/0", "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:9"}
    said = run("doctor", MASTERY_DATA_DIR=str(tmp_path), **closed)
    assert said.returncode == 1
    for dependency in ("redis", "broker", "kafka", "worker", "bridge"):
        assert f"✗ {dependency}:" in said.stdout
    assert "Traceback" not in said.stdout


def test_a_wrong_setting_is_a_message() -> None:
    """The message has the variable's name."""
    assert_refused(run("up", MASTERY_HTTP_PORT="eighty"), "MASTERY_HTTP_PORT")


def test_a_port_in_use_is_a_message(tmp_path: Path) -> None:
    """The message has the port, for `up` and for `demo`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ("up", "demo"):
            refused = run(command, MASTERY_DATA_DIR=str(tmp_path), MASTERY_HTTP_PORT=port)
            assert_refused(refused, f"MASTERY_HTTP_PORT: cannot listen on 127.0.0.1:{port}: Address already in use")


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_data_folder_that_cannot_be_is_a_message(command: str, tmp_path: Path) -> None:
    """For example, if there is a file of that name."""
    (tmp_path / "file").touch()
    assert_refused(run(command, MASTERY_DATA_DIR=str(tmp_path / "file" / "folder")), "MASTERY_DATA_DIR")


def test_a_folder_has_one_stack(stack: Stack) -> None:
    """A second stack on the same data would destroy it."""
    refused = stack.mastery("up", check=False)
    assert_refused(refused, "a stack already runs on")


class TestDemo:
    """The command of `make demo`."""

    def test_it_shows_what_a_teacher_wants_to_see_and_a_second_one_continues(self, tmp_path: Path) -> None:
        """Counts, levels per cohort, who needs help; the second time all events are duplicates, which it explains."""
        settled = Stack(tmp_path / "data")  # not started: only its environment is used
        first = settled.mastery("demo", "--exit").stdout
        assert "200 students of 2 tenants" in first
        for heading in ("Events", "Mastery by cohort", "Who most needs help"):
            assert heading in first
        assert "Ask the engine yourself" not in first  # nobody could, after --exit
        for cohort in ("algebra-1", "algebra-2", "python-101"):
            assert cohort in first
        events, applied, duplicates = _counts(first)
        assert (applied, duplicates) == (events, 0)
        second = settled.mastery("demo", "--exit").stdout
        assert _counts(second) == (events, 0, events)
        assert "Duplicates were here already" in second

    @pytest.mark.parametrize("way", ["Ctrl-C", "mastery down"])
    def test_its_query_works_while_it_waits_until_it_is_stopped(self, tmp_path: Path, events_file: Path, way: str) -> None:
        """The printed query can be pasted into a shell. Neither way to stop it is an error."""
        waiting = Stack(tmp_path / "data")
        log = tmp_path / "demo.log"
        with log.open("w") as out:
            demo = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "demo", str(events_file)], env=waiting.environment, stdout=out, stderr=out
            )
        try:
            wait_for(lambda: "Ctrl-C" in log.read_text() or demo.poll() is not None, SECONDS)
            said = log.read_text()
            printed = said[said.index("TOKEN=") : said.index("All routes")]
            answer = json.loads(subprocess.run(["sh", "-c", printed], capture_output=True, check=True, timeout=SECONDS).stdout)
            assert answer["data"]["student_id"] == "s-1"
            if way == "Ctrl-C":
                demo.send_signal(signal.SIGINT)
            else:
                assert waiting.mastery("down").stdout == "Stopped.\n"
            assert demo.wait(SECONDS) == 0
            assert "Error" not in log.read_text()
        finally:
            demo.terminate()
            demo.wait(SECONDS)

    def test_a_broken_file_is_refused_before_anything_starts(self, tmp_path: Path) -> None:
        """No stack is started."""
        broken = tmp_path / "broken.ndjson.gz"
        broken.write_bytes(b"\x1f\x8b not gzip")
        assert_refused(run("demo", str(broken), MASTERY_DATA_DIR=str(tmp_path / "data")), "cannot be read")
        assert not (tmp_path / "data").exists()


def _counts(said: str) -> tuple[int, int, int]:
    """In, applied and duplicates from the demo's first table."""
    lines = said.splitlines()
    headings = next(number for number, line in enumerate(lines) if "dead-lettered" in line)
    numbers = [int(each.replace(",", "")) for each in lines[headings + 2].split()]
    return numbers[0], numbers[1], numbers[2]
