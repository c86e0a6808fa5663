"""The supervisor of `mastery up`, on small programs: whatever happens to it or to its output, nothing it started is left."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.stack import wait_for

SECONDS = 60.0
SCRIPT = """
import os
import sys
from pathlib import Path
from cli.stack.program import Program
from cli.stack.supervisor import Stopped, Supervisor

SETUP
folder, *commands = sys.argv[1:]
with Supervisor(Path(folder, "stack.json")) as supervisor:
    try:
        for number, command in enumerate(commands):
            supervisor.start(Program(f"p{number}", ["/bin/sh", "-c", command]))
        supervisor.run()
    except Stopped as told:
        supervisor.say(f"{told}: stopping")
"""
# Leaves its process id, and has a child of its own, as a worker does; both are quiet.
QUIET = "echo $$ >> pids; sh -c 'echo $$ >> pids; exec sleep 1000' & wait"


class Supervised:
    """A supervisor in a folder of its own, where its programs leave their process ids in a file."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._pids = folder / "pids"
        self._family: set[psutil.Process] = set()

    def wait_until_it_runs(self, count: int) -> None:
        """Return when so many programs and children have begun; they are known from then on."""
        wait_for(lambda: self._pids.exists() and len(self._pids.read_text().split()) >= count, SECONDS)
        self._family.update(psutil.Process(self.process.pid).children(recursive=True))

    def guard(self) -> psutil.Process:
        """Its guard."""
        return next(each for each in psutil.Process(self.process.pid).children() if "cli.stack.guard" in each.cmdline())

    def assert_nothing_is_left(self) -> None:
        """All that was started has ended, or does soon."""
        assert self._family
        assert psutil.wait_procs(self._family, timeout=SECONDS)[1] == []

    def put_away(self) -> None:
        """End what a failing test leaves."""
        self.process.kill()
        self.process.wait()
        for each in self._family:
            with suppress(psutil.NoSuchProcess):
                each.kill()


@contextmanager
def supervise(
    folder: Path,
    *commands: str,
    stdout: int | IO[bytes],
    before: str = "",
    setup: str = "",
    terminal: int | None = None,
) -> Iterator[Supervised]:
    """A supervisor that runs the commands of a shell; ``before`` it a shell's commands, and ``setup`` in its own Python."""
    script = SCRIPT.replace("SETUP", setup)
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'{before} exec "$@"', "sh", sys.executable, "-c", script, str(folder), *commands],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=terminal if terminal is not None else subprocess.DEVNULL,
        stdout=stdout,
        stderr=stdout if stdout != subprocess.PIPE else subprocess.STDOUT,
        start_new_session=True,
    )
    supervised = Supervised(folder, process)
    try:
        yield supervised
    finally:
        supervised.put_away()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    """Where it prints."""
    with (tmp_path / "log").open("wb") as file:
        yield file


def said(folder: Path) -> str:
    return (folder / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(tmp_path: Path, log: IO[bytes], number: signal.Signals) -> None:
    """With exit code 0, and a word why."""
    with supervise(tmp_path, QUIET, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(4)
        supervised.process.send_signal(number)
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()
        assert f"{number.name}: stopping" in said(tmp_path)


def test_a_signal_that_waited_is_heeded(tmp_path: Path, log: IO[bytes]) -> None:
    """To one that was suspended, by Ctrl-Z say: when it goes on, the system gives the signal to any of its threads."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            supervised.process.send_signal(number)
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


@pytest.mark.parametrize("first", [signal.SIGKILL, signal.SIGSTOP, signal.SIGQUIT])
def test_killed_it_leaves_nothing(tmp_path: Path, log: IO[bytes], first: signal.Signals) -> None:
    """Also when it was suspended before, or ends by a signal that nobody expects. What it told others is taken back."""
    (tmp_path / "stack.json").touch()
    with supervise(tmp_path, QUIET, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(4)
        supervised.process.send_signal(first)
        supervised.process.kill()
        supervised.process.wait(SECONDS)
        supervised.assert_nothing_is_left()
        wait_for(lambda: not (tmp_path / "stack.json").exists(), SECONDS)


def test_killed_it_leaves_nothing_that_does_not_heed(tmp_path: Path, log: IO[bytes]) -> None:
    """Programs that ignore SIGTERM, and children whose parent is gone, are killed after their grace."""
    deaf = "trap '' TERM; echo $$ >> pids; sh -c 'echo $$ >> pids; while :; do sleep 1; done'"
    orphan = "(trap '' TERM; sh -c 'echo $$ >> pids; while :; do sleep 1; done') & echo $$ >> pids; wait"
    with supervise(tmp_path, deaf, orphan, stdout=log) as supervised:
        supervised.wait_until_it_runs(4)
        supervised.process.kill()
        supervised.assert_nothing_is_left()


def test_killed_while_it_starts_it_leaves_nothing(tmp_path: Path, log: IO[bytes]) -> None:
    """A process is known to the guard before it becomes the program: there is no moment in between."""
    with supervise(tmp_path, *[QUIET] * 30, stdout=log) as supervised:
        supervised.wait_until_it_runs(1)
        supervised.process.kill()
        supervised.process.wait(SECONDS)
        wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in (tmp_path / "pids").read_text().split()), SECONDS)


def test_a_guard_that_was_ended_is_replaced(tmp_path: Path, log: IO[bytes]) -> None:
    """And the new one knows of what runs already."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        first = supervised.guard()
        first.kill()

        def is_replaced() -> bool:
            with suppress(StopIteration, psutil.NoSuchProcess):  # between the end of one and the start of the other
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
    """One that ends at once, and one that cannot be started at all: after five attempts at most, with a clear word."""
    with supervise(tmp_path, QUIET, stdout=log, setup=setup) as supervised:
        assert supervised.process.wait(SECONDS) == 1
        assert f"ProcessFailed: {reason}" in said(tmp_path)
    assert said(tmp_path).count("another one is started") == (4 if "5th" in reason else 0)


def test_guards_that_are_ended_again_and_again_end_everything(tmp_path: Path, log: IO[bytes]) -> None:
    """In order, while it is still possible."""
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)

        def end_a_guard() -> bool:
            with suppress(StopIteration, psutil.NoSuchProcess):  # between the end of one and the start of the other
                supervised.guard().kill()
            return supervised.process.poll() is not None

        wait_for(end_a_guard, SECONDS)
        assert supervised.process.returncode == 1
        supervised.assert_nothing_is_left()
        assert "ProcessFailed: the guard was ended by SIGKILL, the 5th time in a row" in said(tmp_path)


def test_a_guard_that_cannot_be_replaced_ends_everything(tmp_path: Path, log: IO[bytes]) -> None:
    """In order, with a clear word."""
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
    """At the end it has nothing to do; what it would have removed is removed."""
    (tmp_path / "stack.json").touch()
    with supervise(tmp_path, QUIET, stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        supervised.guard().suspend()
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="macOS before Python 3.13 cannot look at what has ended and leave it")
def test_the_id_of_what_has_ended_is_kept_until_its_group_is_killed(tmp_path: Path, log: IO[bytes]) -> None:
    """Were it given anew while the others end, another process and its group would be killed in its place."""
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
    """As most real-time signals are."""
    number = signal.SIGRTMIN + 6
    with supervise(tmp_path, f"[ -e told ] && exec sleep 1000; touch told; kill -{number} $$", stdout=log) as supervised:
        wait_for(lambda: f"p0 was ended by signal {number}; it is started again" in said(tmp_path), SECONDS)
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0


def test_a_reader_that_goes_ends_everything(tmp_path: Path) -> None:
    """`mastery up | tee log` and Ctrl-C: the reader is gone. Programs that say nothing end as well."""
    with supervise(tmp_path, QUIET, "echo $$ >> pids; while :; do echo busy; done", stdout=subprocess.PIPE) as supervised:
        supervised.wait_until_it_runs(3)
        assert supervised.process.stdout
        assert b"busy" in supervised.process.stdout.readline()
        supervised.process.stdout.close()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_a_reader_that_goes_is_noticed_while_nothing_is_said(tmp_path: Path) -> None:
    """Nobody has to print for it."""
    with supervise(tmp_path, QUIET, stdout=subprocess.PIPE) as supervised:
        supervised.wait_until_it_runs(2)
        assert supervised.process.stdout
        supervised.process.stdout.close()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_a_reader_that_does_not_read_holds_up_nothing(tmp_path: Path) -> None:
    """A pipe is full after 64 KB. The programs go on, it can be ended, and it says how much was not shown."""
    talkative = "echo $$ >> pids; seq 1 300000; touch said-it-all; sleep 1000"
    with supervise(tmp_path, talkative, stdout=subprocess.PIPE) as supervised:
        supervised.wait_until_it_runs(1)
        wait_for((tmp_path / "said-it-all").exists, SECONDS)
        supervised.process.terminate()
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_lines_that_were_not_read_in_time_are_counted(tmp_path: Path) -> None:
    """Whoever reads late is told that there was more."""
    with supervise(tmp_path, "seq 1 300000; touch said-it-all; sleep 1000", stdout=subprocess.PIPE) as supervised:
        wait_for((tmp_path / "said-it-all").exists, SECONDS)
        assert supervised.process.stdout
        assert any(b"lines were not read in time" in line for line in supervised.process.stdout)


def test_a_terminal_that_goes_ends_everything(tmp_path: Path) -> None:
    """Its window was closed; nobody sends SIGHUP to a process that does not lead its session."""
    with ExitStack() as exits:
        ours, theirs = pty.openpty()
        exits.callback(os.close, theirs)
        supervised = exits.enter_context(supervise(tmp_path, QUIET, stdout=theirs))
        supervised.wait_until_it_runs(2)
        os.close(ours)
        assert supervised.process.wait(SECONDS) == 0
        supervised.assert_nothing_is_left()


def test_nohup_is_heeded(tmp_path: Path, log: IO[bytes]) -> None:
    """Who asked for it wants it to outlive the terminal."""
    with supervise(tmp_path, QUIET, stdout=log, before="trap '' HUP;") as supervised:
        supervised.wait_until_it_runs(2)
        supervised.process.send_signal(signal.SIGHUP)
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.process.wait(SECONDS) == 0
        assert "SIGHUP" not in said(tmp_path)
        supervised.assert_nothing_is_left()


def test_a_program_that_ends_is_started_again_and_leaves_no_children(tmp_path: Path, log: IO[bytes]) -> None:
    """The next one finds the place free."""
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
    """After five attempts, with its exit code and a clear word."""
    with supervise(tmp_path, QUIET, "echo again >> attempts; exit 3", stdout=log) as supervised:
        supervised.wait_until_it_runs(2)
        assert supervised.process.wait(SECONDS) == 1
        supervised.assert_nothing_is_left()
    assert (tmp_path / "attempts").read_text().split() == ["again"] * 5
    assert "ProcessFailed: p1 ended with exit code 3, the 5th time in a row" in said(tmp_path)
