"""The supervisor of `mastery up` ends everything it started, whatever happens to it or to its output."""

import os
import pty
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.stack import QUIET, said, supervise, wait_for

SECONDS = 60.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(tmp_path: Path, log: IO[bytes], number: signal.Signals) -> None:
    """With exit code 0, and a message with the reason."""
    with supervise(tmp_path, QUIET, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(4)
        supervised.process.send_signal(number)
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()
        assert f"{number.name}: stopping" in said(tmp_path)


def test_a_signal_that_waited_is_heeded(tmp_path: Path, log: IO[bytes]) -> None:
    """To a suspended one, e.g. by Ctrl-Z: when it continues, the system gives the signal to any of its threads."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            supervised.process.send_signal(number)
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="macOS before Python 3.13 cannot look at what has ended and leave it")
def test_the_id_of_what_has_ended_is_kept_until_its_group_is_killed(tmp_path: Path, log: IO[bytes]) -> None:
    """If the id were reused while others end, a foreign process and its group would be killed."""
    slow = "trap '' TERM; echo $$ >> pids; until [ -e go ]; do sleep 0.1; done"
    with supervise(tmp_path, slow, "echo $$ >> quick; exec sleep 1000", stdout=log) as supervised:
        supervised.wait_until_it_runs(1)
        wait_for((tmp_path / "quick").exists, SECONDS)
        quick = psutil.Process(int((tmp_path / "quick").read_text()))
        supervised.process.terminate()
        wait_for(lambda: not psutil.pid_exists(quick.pid) or quick.status() == psutil.STATUS_ZOMBIE, SECONDS)
        with pytest.raises(AssertionError):
            wait_for(lambda: not psutil.pid_exists(quick.pid), 1)
        (tmp_path / "go").touch()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_a_signal_without_a_name_is_told_by_its_number(tmp_path: Path, log: IO[bytes]) -> None:
    """Most real-time signals have no name."""
    number = signal.SIGRTMIN + 6
    with supervise(tmp_path, f"[ -e told ] && exec sleep 1000; touch told; kill -{number} $$", stdout=log) as supervised:
        wait_for(lambda: f"p0 was ended by signal {number}; it is started again" in said(tmp_path), SECONDS)
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0


def test_a_reader_that_goes_ends_everything(tmp_path: Path) -> None:
    """`mastery up | tee log` and Ctrl-C: the reader is gone. Programs without output end as well."""
    with supervise(tmp_path, QUIET, "echo $$ >> pids; while :; do echo busy; done", stdout=subprocess.PIPE) as supervised:
        supervised.wait_until_it_runs(3)
        assert supervised.process.stdout
        assert b"busy" in supervised.process.stdout.readline()
        supervised.process.stdout.close()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_a_reader_that_goes_is_noticed_while_nothing_is_said(tmp_path: Path) -> None:
    """This does not need any output."""
    with supervise(tmp_path, QUIET, stdout=subprocess.PIPE) as supervised:
        supervised.wait_until_it_runs(2)
        assert supervised.process.stdout
        supervised.process.stdout.close()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_a_reader_that_does_not_read_holds_up_nothing(tmp_path: Path) -> None:
    """A pipe is full after 64 KB. The programs continue, the stack can be stopped, and reports how much was dropped."""
    talkative = "echo $$ >> pids; seq 1 300000; touch said-it-all; sleep 1000"
    with supervise(tmp_path, talkative, stdout=subprocess.PIPE) as supervised:
        supervised.wait_until_it_runs(1)
        wait_for((tmp_path / "said-it-all").exists, SECONDS)
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_lines_that_were_not_read_in_time_are_counted(tmp_path: Path) -> None:
    """A late reader is told that lines were dropped."""
    with supervise(tmp_path, "seq 1 300000; touch said-it-all; sleep 1000", stdout=subprocess.PIPE) as supervised:
        wait_for((tmp_path / "said-it-all").exists, SECONDS)
        assert supervised.process.stdout
        assert any(b"lines were not read in time" in line for line in supervised.process.stdout)


def test_a_terminal_that_goes_ends_everything(tmp_path: Path) -> None:
    """The window was closed; the system sends SIGHUP only to session leaders."""
    with ExitStack() as exits:
        ours, theirs = pty.openpty()
        exits.callback(os.close, theirs)
        supervised = exits.enter_context(supervise(tmp_path, QUIET, stdout=theirs))
        supervised.wait_until_it_runs(2)
        os.close(ours)
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_nohup_is_heeded(tmp_path: Path, log: IO[bytes]) -> None:
    """The user wants the stack to outlive the terminal."""
    with supervise(tmp_path, QUIET, stdout=log, before="trap '' HUP;") as supervised:
        supervised.wait_until_it_runs(2)
        supervised.process.send_signal(signal.SIGHUP)
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.process.wait(SECONDS) == 0
        assert "SIGHUP" not in said(tmp_path)
        supervised.assert_nothing_is_left()


def test_a_program_that_ends_is_started_again_and_leaves_no_children(tmp_path: Path, log: IO[bytes]) -> None:
    """The restarted program finds its resources free."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        program, child = (psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split())
        program.kill()
        supervised.wait_until_it_runs(4)
        assert psutil.wait_procs([child], timeout=SECONDS)[1] == []
        assert "p0 was ended by SIGKILL; it is started again in 0.5 s" in said(tmp_path)
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_a_program_that_ends_again_and_again_ends_everything(tmp_path: Path, log: IO[bytes]) -> None:
    """After five attempts, with its exit code and a clear message."""
    with supervise(tmp_path, QUIET, "echo again >> attempts; exit 3", stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        assert supervised.process.wait(SECONDS) == 1
        supervised.assert_nothing_is_left()
    assert (tmp_path / "attempts").read_text().split() == ["again"] * 5
    assert "ProcessFailed: p1 ended with exit code 3, the 5th time in a row" in said(tmp_path)
