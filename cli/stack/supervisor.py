"""Supervises a few processes on a developer's machine: prints their output, restarts them, leaves no process behind.

docs/decisions/0019 explains why it is our own. It guarantees:

- Whatever happens to its output (closed, full, terminal gone) or to itself (even SIGKILL), all its processes and their
  children end within the grace period of ``cli/stack/guard.py``: each process leads a process group.
- The guard knows every process that runs: a shell registers its own pid with the guard before it becomes the process.
- A process that ends unexpectedly is restarted after a pause. If it ends repeatedly soon after its start, the stack stops.
"""

import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, NamedTuple, Self, TypeAlias, cast

from app.errors import EngineError
from cli.stack.guard import GONE, GRACE_SECONDS, SERVER
from cli.stack.module import python_command
from cli.stack.printer import Printer
from cli.stack.program import Program, Running, how_it_ended

FIRST_PAUSE_SECONDS = 0.5  # short, as most failures are transient
LAST_PAUSE_SECONDS = 8.0  # each pause is twice the one before
STEADY_SECONDS = 60.0  # after this run time, a failure does not count as in a row
FAILURES = 5  # in a row; the pauses between them add up to 7.5 s, longer than a server's restart
# Python runs signal handlers in the main thread, so it must not block for longer than this.
AWAKE_SECONDS = 1.0
LINE_BYTES = 8_192  # longer lines are split
OWN_NAME = "up"
GUARD = "the guard"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The shell writes its pid to the guard's pipe (its standard input) and becomes the program, which does not inherit the pipe.
REGISTER_AND_EXEC = 'echo "$0 $$" >&0 && exec "$@" </dev/null'


class ProcessFailed(EngineError):
    """A process of the stack ended unexpectedly and is not restarted."""


class Stopped(Exception):
    """The supervisor must stop; the message is the reason."""


class Ended(NamedTuple):
    """A process has ended."""

    running: Running


class FirstLine(NamedTuple):
    """The first line of a server's output."""

    name: str
    line: str


class GuardEnded(NamedTuple):
    """The guard has ended unexpectedly."""


Event: TypeAlias = Ended | FirstLine | GuardEnded | Stopped


class Supervisor:
    """Runs programs until it is stopped. A context manager: all processes have ended on exit, the servers last.

    Args:
        file: the description of the running stack; removed when all processes have ended.
        kept_open: descriptors, such as a lock, that the guard keeps open until all processes have ended.
        log: where the guard's standard error goes.
    """

    def __init__(self, file: Path, kept_open: Sequence[int] = (), log: IO[bytes] | int = subprocess.DEVNULL) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._running: dict[str, Running] = {}
        self._waiting: dict[str, tuple[float, Program]] = {}  # due time of each restart
        self._failures: dict[str, int] = {}
        self._printer = Printer(lambda: self.stop("the output was closed"))
        self._file = file
        self._kept_open = kept_open
        self._log = log

    def __enter__(self) -> Self:
        self._start_guard()
        for number in STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # respects nohup
                signal.signal(number, lambda number, _frame: self.stop(signal.Signals(number).name))
        return self

    def __exit__(self, *_: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the shutdown
        for kind in GRACE_SECONDS:
            self._end(kind)
        self._file.unlink(missing_ok=True)
        self._guard.kill()  # no processes are left; SIGKILL, as it may be suspended
        self._guard.wait()
        self._guard_input.close()
        self._printer.close()

    def say(self, line: str) -> None:
        """Print a line of the supervisor."""
        self._printer.say(OWN_NAME, line)

    def stop(self, reason: str) -> None:
        """Make ``run`` and ``start_server`` raise Stopped; for signal handlers and other threads."""
        self._events.put(Stopped(reason))

    def start(self, program: Program) -> None:
        """Start a program and keep it running."""
        process = subprocess.Popen(  # noqa: S603 - our own commands
            ["/bin/sh", "-c", REGISTER_AND_EXEC, program.kind, *program.command],
            env=program.environment,
            stdin=self._guard_input,
            stdout=subprocess.PIPE,
            stderr=program.errors or subprocess.STDOUT,
            start_new_session=True,  # it leads a group, and Ctrl-C reaches only the supervisor
        )
        running = Running(program, process, time.monotonic())
        self._running[program.name] = running
        for watch in (self._show, self._await_end):
            Thread(target=watch, args=(running,), daemon=True).start()

    def start_server(self, program: Program, seconds: float) -> str:
        """Start a server and wait until it is ready. Propagates Stopped.

        Returns:
            The first line of its output, which it prints when it is ready.

        Raises:
            ProcessFailed: it ends, or is not ready within ``seconds``.
        """
        self.start(program)
        deadline = time.monotonic() + seconds
        while (event := self._next_event(deadline)) is not None:
            if isinstance(event, FirstLine) and event.name == program.name:
                return event.line
            if isinstance(event, Ended) and event.running.program is program:
                break
            if isinstance(event, Ended):
                self._handle_end(event.running)
        raise ProcessFailed(f"the embedded {program.name} did not start; see servers.log in the data folder")

    def run(self) -> None:
        """Keep the programs running. Raises Stopped, or ProcessFailed when a program cannot be kept running."""
        while True:
            event = self._next_event(min((due for due, _ in self._waiting.values()), default=None))
            if isinstance(event, Ended):
                self._handle_end(event.running)
            for name, (due, program) in list(self._waiting.items()):
                if due <= time.monotonic():
                    del self._waiting[name]
                    self.start(program)

    def _handle_end(self, running: Running) -> None:
        """Schedule the restart of a process that ended unexpectedly. Raises ProcessFailed if it is not restarted."""
        program = running.program
        self._clear(running)
        how = running.how_it_ended()
        if program.irreplaceable:
            raise ProcessFailed(f"{program.name} {how}: {program.irreplaceable}")
        failures = self._failures_in_a_row(program.name, running.began)
        if failures >= FAILURES:
            raise ProcessFailed(f"{program.name} {how}, the {failures}th time in a row soon after its start; see above why")
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LAST_PAUSE_SECONDS)
        self.say(f"{program.name} {how}; it is started again in {pause:g} s")
        self._waiting[program.name] = (time.monotonic() + pause, program)

    def _failures_in_a_row(self, name: str, began: float) -> int:
        """How often it has ended soon after its start, including this time; ``began`` is its start on the monotonic clock."""
        is_steady = time.monotonic() - began >= STEADY_SECONDS
        self._failures[name] = 1 if is_steady else self._failures.get(name, 0) + 1
        return self._failures[name]

    def _end(self, kind: str) -> None:
        """Terminate all processes of a kind, and kill them after the grace period."""
        chosen = [each for each in self._running.values() if each.program.kind == kind]
        for each in chosen:
            each.terminate()
        deadline = time.monotonic() + GRACE_SECONDS[kind]
        for each in chosen:
            if not each.has_ended_within(max(deadline - time.monotonic(), 0)):
                self.say(f"{each.program.name} did not end within {GRACE_SECONDS[kind]:.0f} s and is killed")
            self._clear(each)

    def _clear(self, running: Running) -> None:
        """Reap a process and kill its remaining children."""
        running.clear()
        self._running.pop(running.program.name, None)
        self._tell_guard(f"{GONE} {running.process.pid}")

    def _start_guard(self) -> None:
        """Start a guard and register all running processes. Raises ProcessFailed when it cannot be started."""
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - our own module
                python_command("cli.stack.guard", str(self._file)),
                bufsize=0,
                stdin=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
                pass_fds=self._kept_open,
            )
        except OSError as error:
            raise ProcessFailed(f"{GUARD} cannot be started: {error.strerror}") from error
        self._guard_began = time.monotonic()
        self._guard_input = cast("IO[bytes]", self._guard.stdin)
        Thread(target=self._await_end_of_guard, args=(self._guard,), daemon=True).start()
        for each in self._running.values():
            self._tell_guard(f"{each.program.kind} {each.process.pid}")

    def _replace_guard(self) -> None:
        """Start another guard at once: without one, a killed supervisor would leave its processes behind.

        Raises:
            ProcessFailed: guards end repeatedly. The stack then stops while it still can regularly.
        """
        how = how_it_ended(self._guard)
        failures = self._failures_in_a_row(GUARD, self._guard_began)
        if failures >= FAILURES:
            raise ProcessFailed(f"{GUARD} {how}, the {failures}th time in a row; servers.log in the data folder may say why")
        self.say(f"{GUARD} {how}; another one is started")
        previous = self._guard_input
        self._start_guard()
        previous.close()

    def _tell_guard(self, line: str) -> None:
        with suppress(BrokenPipeError):  # the guard has ended; its replacement registers all processes
            self._guard_input.write(f"{line}\n".encode())

    def _next_event(self, until: float | None) -> Ended | FirstLine | None:
        """The next event, or None if there is none before ``until`` on the monotonic clock. Raises Stopped."""
        while until is None or time.monotonic() < until:
            left = AWAKE_SECONDS if until is None else until - time.monotonic()
            try:
                event = self._events.get(timeout=min(max(left, 0), AWAKE_SECONDS))
            except Empty:
                continue
            if isinstance(event, Stopped):
                raise event
            if not isinstance(event, GuardEnded):
                return event
            self._replace_guard()
        return None

    def _show(self, running: Running) -> None:
        """Print the output of a process. Runs in a thread."""
        output = cast("IO[bytes]", running.process.stdout)
        name, is_first = running.program.name, running.program.kind == SERVER
        for raw in iter(partial(output.readline, LINE_BYTES), b""):
            line = raw.decode(errors="backslashreplace").rstrip("\r\n")
            if is_first:
                self._events.put(FirstLine(name, line))
            else:
                self._printer.say(name, line)
            is_first = False

    def _await_end(self, running: Running) -> None:
        """Report the end of a process, even if its children keep its output open. Runs in a thread."""
        running.await_end()
        self._events.put(Ended(running))

    def _await_end_of_guard(self, guard: "subprocess.Popen[bytes]") -> None:
        guard.wait()
        self._events.put(GuardEnded())
