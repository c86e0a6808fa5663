"""``mastery batch watch`` shows how far a batch is, and ends with an exit code for how it ended."""

import json
import os
import pty
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.batches.batch import BatchStatus
from app.batches.batch_kinds import NO_EVIDENCE
from app.config.settings import Settings
from cli.stack.embedded import embedded
from tests.integration.audit_calls import deeds
from tests.integration.batch_desk import SECONDS, BatchDesk, new_batch_desk
from tests.stack import wait_for


@pytest.fixture
def desk(settings: Settings) -> Iterator[BatchDesk]:
    with new_batch_desk(settings) as made:
        yield made


@pytest.mark.parametrize(
    ("status", "code"), [("partly_failed", 4), ("failed", 5), ("cancelled", 6), ("expired", 7), ("succeeded", 0)]
)
def test_its_exit_code_says_how_the_batch_ended(desk: BatchDesk, status: str, code: int) -> None:
    """Each end has its own, apart from those of errors."""
    key = desk.submit("b-1", all=True)
    desk.engine.batches.end(key, BatchStatus(status), reason="for a reason")
    done = desk.run("watch", "b-1")
    assert (done.exit_code, done.stdout) == (code, f"batch b-1 {status.replace('_', ' ')}: for a reason\n")
    assert deeds(desk.engine, "t-1") == [("batch.read", {"batch_id": "b-1"})]


def test_a_student_who_failed_is_found_in_the_results(desk: BatchDesk) -> None:
    """The summary says with which command."""
    key = desk.submit("b-1", students=["s-0", "s-1"])
    desk.engine.redis.delete(f"{desk.engine.settings.key_prefix}:{{t-1}}:student:s-1")
    desk.compute(key)
    done = desk.run("watch", "b-1")
    assert (done.exit_code, "students: 2; 1 succeeded, 1 failed\n" in done.stdout) == (4, True)
    assert done.stdout.endswith("To see why: mastery batch results b-1 --tenant t-1 --only failed\n")
    shown = desk.run("results", "b-1", "--only", "failed").stdout
    assert [json.loads(line) for line in shown.splitlines()] == [{"student_id": "s-1", "error": NO_EVIDENCE}]


def test_a_bar_shows_how_far_it_is(desk: BatchDesk) -> None:
    """On a terminal: counts, rate and time left, while the batch is computed."""
    students = [{"student_id": f"s-{number}", "components": {"quiz": 1.0}} for number in range(600)]
    key = desk.submit("b-1", students=students)
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    watching = desk.start("watch", "b-1", stdout=theirs)
    os.close(theirs)
    seen = b""

    def shows(*words: bytes) -> bool:
        nonlocal seen
        with suppress(OSError):  # nothing new, or the command has ended
            seen += os.read(ours, 65_536)
        return all(word in seen for word in words)

    try:
        wait_for(lambda: shows(b"queued", b"0/600"), SECONDS)
        desk.step(key)
        wait_for(lambda: shows(b"running", b"250/600", b"students/s", b"left"), SECONDS)
        desk.compute(key)
        wait_for(lambda: shows(b"succeeded", b"600/600", b"levels: 600 beginner"), SECONDS)
        assert watching.wait(SECONDS) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(ours)


def test_ctrl_c_ends_the_watching_only(desk: BatchDesk) -> None:
    """The command says so, and how to go on."""
    key = desk.submit("b-1", all=True)
    watching = desk.start("watch", "b-1")
    try:
        wait_for(lambda: ("batch.read", {"batch_id": "b-1"}) in deeds(desk.engine, "t-1"), SECONDS)
        watching.send_signal(signal.SIGINT)
        output, _ = watching.communicate(timeout=SECONDS)
    finally:
        watching.kill()
    said = output.decode()
    assert watching.returncode == 130
    assert "No longer watched; the batch goes on. To watch it again: mastery batch watch b-1 --tenant t-1\n" in said
    assert "Traceback" not in said
    assert desk.engine.batches.read(key).status is BatchStatus.QUEUED


def test_it_waits_while_redis_restarts(settings: Settings, state: ExitStack, state_port: int, tmp_path: Path) -> None:
    """It says once that Redis is gone, and once that it is back."""
    desk = BatchDesk(replace(settings, redis_url=f"redis://127.0.0.1:{state_port}/0"))
    key = desk.submit("b-1", all=True)
    log = tmp_path / "watch.log"
    with log.open("wb") as file:
        watching = desk.start("watch", "b-1", stdout=file.fileno())
    try:
        wait_for(lambda: ("batch.read", {"batch_id": "b-1"}) in deeds(desk.engine, "t-1"), SECONDS)
        state.close()
        wait_for(lambda: "redis is unavailable" in log.read_text(), SECONDS)
        with embedded("valkey", str(tmp_path / "state"), str(state_port)):
            wait_for(lambda: "it answers again" in log.read_text(), SECONDS)
            desk.engine.batches.end(key, BatchStatus.CANCELLED, reason="it was cancelled")
            assert watching.wait(SECONDS) == 6
    finally:
        watching.kill()
        watching.wait()
        desk.engine.redis.close()
    said = log.read_text()
    assert (said.count("waiting until it answers again"), said.count("it answers again\n")) == (1, 2)
    assert "batch b-1 cancelled: it was cancelled\n" in said
