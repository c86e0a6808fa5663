"""The guard ends what a killed supervisor leaves, and is replaced when it exits."""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.stack import QUIET, said, supervise, wait_for

SECONDS = 60.0


@pytest.mark.parametrize("first", [signal.SIGKILL, signal.SIGSTOP, signal.SIGQUIT])
def test_killed_it_leaves_nothing(tmp_path: Path, log: IO[bytes], first: signal.Signals) -> None:
    """Also if it was suspended before, or ends by an unusual signal. Its published state is removed."""
    (tmp_path / "stack.json").touch()
    with supervise(tmp_path, QUIET, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(4)
        supervised.process.send_signal(first)
        supervised.process.kill()
        supervised.process.wait(SECONDS)
        supervised.assert_nothing_is_left()
        wait_for(lambda: not (tmp_path / "stack.json").exists(), SECONDS)


def test_killed_it_leaves_nothing_that_does_not_heed(tmp_path: Path, log: IO[bytes]) -> None:
    """Programs that ignore SIGTERM, and orphaned children, are killed after their grace period."""
    deaf = "trap '' TERM; echo $$ >> pids; sh -c 'echo $$ >> pids; while :; do sleep 1; done'"
    orphan = "(trap '' TERM; sh -c 'echo $$ >> pids; while :; do sleep 1; done') & echo $$ >> pids; wait"
    with supervise(tmp_path, deaf, orphan, stdout=log) as supervised:
        supervised.wait_until_it_runs(4)
        supervised.process.kill()
        supervised.assert_nothing_is_left()


def test_killed_while_it_starts_it_leaves_nothing(tmp_path: Path, log: IO[bytes]) -> None:
    """The guard knows a process before it becomes the program, without a gap."""
    with supervise(tmp_path, *[QUIET] * 30, stdout=log) as supervised:
        supervised.wait_until_it_runs(1)
        supervised.process.kill()
        supervised.process.wait(SECONDS)
        wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in (tmp_path / "pids").read_text().split()), SECONDS)


def test_a_guard_that_was_ended_is_replaced(tmp_path: Path, log: IO[bytes]) -> None:
    """The new one knows about running processes."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        first = supervised.guard()
        first.kill()

        def is_replaced() -> bool:
            with suppress(StopIteration, psutil.NoSuchProcess):  # between the end of one and the start of the next
                return supervised.guard() != first
            return False

        wait_for(is_replaced, SECONDS)
        supervised.process.kill()
        supervised.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ("os.environ['PYTHONHOME'] = '/missing'", "the guard ended with exit code 1, the 5th time in a row"),
        ("sys.executable = '/missing'", "the guard cannot be started: No such file or directory"),
    ],
)
def test_without_a_guard_nothing_runs(tmp_path: Path, log: IO[bytes], setup: str, reason: str) -> None:
    """If it exits at once or cannot be started, the stack ends after at most five attempts, with a clear message."""
    with supervise(tmp_path, QUIET, stdout=log, setup=setup) as supervised:
        assert supervised.process.wait(SECONDS) == 1
        assert f"ProcessFailed: {reason}" in said(tmp_path)
    assert said(tmp_path).count("another one is started") == (4 if "5th" in reason else 0)


def test_guards_that_are_ended_again_and_again_end_everything(tmp_path: Path, log: IO[bytes]) -> None:
    """The stack shuts down cleanly while it still can."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)

        def end_a_guard() -> bool:
            with suppress(StopIteration, psutil.NoSuchProcess):  # between the end of one and the start of the next
                supervised.guard().kill()
            return supervised.process.poll() is not None

        wait_for(end_a_guard, SECONDS)
        assert supervised.process.returncode == 1
        supervised.assert_nothing_is_left()
        assert "ProcessFailed: the guard was ended by SIGKILL, the 5th time in a row" in said(tmp_path)


def test_a_guard_that_cannot_be_replaced_ends_everything(tmp_path: Path, log: IO[bytes]) -> None:
    """The stack shuts down cleanly, with a clear message."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    with supervise(tmp_path, QUIET, stdout=log, setup=f"sys.executable = {str(python)!r}") as supervised:
        supervised.wait_until_it_runs(2)
        guard = supervised.guard()
        python.unlink()
        guard.kill()
        assert supervised.process.wait(SECONDS) == 1
        supervised.assert_nothing_is_left()
        assert said(tmp_path).endswith("ProcessFailed: the guard cannot be started: No such file or directory\n")


def test_a_guard_that_is_suspended_is_not_waited_for(tmp_path: Path, log: IO[bytes]) -> None:
    """It is not needed for a clean shutdown; the supervisor removes the file."""
    (tmp_path / "stack.json").touch()
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        supervised.guard().suspend()
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()
    assert not (tmp_path / "stack.json").exists()
