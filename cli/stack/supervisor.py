"""A supervisor of a few processes on a developer's machine: shows what they say, starts again what ends, leaves nothing behind.

docs/decisions/0019 says why it is our own. It promises:

- Whatever happens to its output (closed, full, its terminal gone) or to itself (SIGKILL too), everything it started ends
  within the grace of ``cli/stack/guard.py``, and all that those started in turn: each leads a process group.
- No moment at which a process runs that the guard does not know of: the shell that becomes the process tells first.
- What ends unasked is started again, after a pause; what ends soon again and again ends all, with a message.
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

FIRST_PAUSE_SECONDS = 0.5  # short: most that ends unasked does so by chance, and work waits
LAST_PAUSE_SECONDS = 8.0  # each pause is twice the one before
STEADY_SECONDS = 60.0  # what ran for so long has not failed again, but anew
FAILURES = 5  # in a row; the pauses between them add up to 7.5 s, longer than a server takes to come back
# A signal may reach another thread: Python calls its handler in this one, which has to be awake.
AWAKE_SECONDS = 1.0
LINE_BYTES = 8_192  # of a longer line, the rest is shown as another
OWN_NAME = "up"
GUARD = "the guard"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The shell tells the guard its process id and becomes the program, which does not inherit the pipe.
TELL_AND_BECOME = 'echo "$0 $$" >&0 && exec "$@" </dev/null'


class ProcessFailed(EngineError):
    """A process of the stack ended unasked, and is not started again."""


class Stopped(Exception):
    """The supervisor was told to stop; the message says by what."""


class Ended(NamedTuple):
    """It has ended."""

    running: Running


class Said(NamedTuple):
    """The first line of a server."""

    name: str
    line: str


class GuardEnded(NamedTuple):
    """The guard ended, which nothing here asks for before the end."""


Event: TypeAlias = Ended | Said | GuardEnded | Stopped


class Supervisor:
    """Runs programs until it is told to stop. A context: at its end all have ended, the servers last.

    ``file`` tells others of the processes while they run, and is removed when they have ended.
    ``kept_open`` are descriptors that stay open until everything has ended, even without the supervisor: a lock, say.
    """

    def __init__(self, file: Path, kept_open: Sequence[int] = (), log: IO[bytes] | int = subprocess.DEVNULL) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._running: dict[str, Running] = {}
        self._waiting: dict[str, tuple[float, Program]] = {}  # when each is started again
        self._failures: dict[str, int] = {}
        self._printer = Printer(lambda: self.stop("nobody reads the output any more"))
        self._file = file
        self._kept_open = kept_open
        self._log = log

    def __enter__(self) -> Self:
        self._start_guard()
        for number in STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup: the terminal may go
                signal.signal(number, lambda number, _frame: self.stop(signal.Signals(number).name))
        return self

    def __exit__(self, *_: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not interrupt what is being put away
        for kind in GRACE_SECONDS:
            self._end(kind)
        self._file.unlink(missing_ok=True)
        self._guard.kill()  # it has nothing left to do, and may be suspended
        self._guard.wait()
        self._guard_input.close()
        self._printer.close()

    def say(self, line: str) -> None:
        """Print a line of the supervisor's own."""
        self._printer.say(OWN_NAME, line)

    def stop(self, reason: str) -> None:
        """Have ``run`` and ``start_server`` raise Stopped; for signal handlers and other threads."""
        self._events.put(Stopped(reason))

    def start(self, program: Program) -> None:
        """Start a program; from now on it is kept running."""
        process = subprocess.Popen(  # noqa: S603 - our own commands
            ["/bin/sh", "-c", TELL_AND_BECOME, program.kind, *program.command],
            env=program.environment,
            stdin=self._guard_input,
            stdout=subprocess.PIPE,
            stderr=program.errors or subprocess.STDOUT,
            start_new_session=True,  # it leads a group, and Ctrl-C is for the supervisor, which stops them in order
        )
        running = Running(program, process, time.monotonic())
        self._running[program.name] = running
        for watch in (self._show, self._await_end):
            Thread(target=watch, args=(running,), daemon=True).start()

    def start_server(self, program: Program, seconds: float) -> str:
        """Start a server, and return the line that it says when it is ready.

        Raises ProcessFailed when it ends instead, or is not ready within so many seconds; Stopped when told to stop.
        """
        self.start(program)
        deadline = time.monotonic() + seconds
        while (event := self._next_event(deadline)) is not None:
            if isinstance(event, Said) and event.name == program.name:
                return event.line
            if isinstance(event, Ended) and event.running.program is program:
                break
            if isinstance(event, Ended):
                self._heed(event.running)
        raise ProcessFailed(f"the embedded {program.name} did not start; servers.log in the data folder says why")

    def run(self) -> None:
        """Keep the programs running. Raises Stopped when told to stop, ProcessFailed when one cannot be kept."""
        while True:
            event = self._next_event(min((due for due, _ in self._waiting.values()), default=None))
            if isinstance(event, Ended):
                self._heed(event.running)
            for name, (due, program) in list(self._waiting.items()):
                if due <= time.monotonic():
                    del self._waiting[name]
                    self.start(program)

    def _heed(self, running: Running) -> None:
        """What to do about a process that ended unasked."""
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
        """How often it has ended soon after its start, this time included; it began at a moment of the monotonic clock."""
        is_steady = time.monotonic() - began >= STEADY_SECONDS
        self._failures[name] = 1 if is_steady else self._failures.get(name, 0) + 1
        return self._failures[name]

    def _end(self, kind: str) -> None:
        """End all of a kind: told to, and killed after their grace."""
        chosen = [each for each in self._running.values() if each.program.kind == kind]
        for each in chosen:
            each.tell_to_end()
        deadline = time.monotonic() + GRACE_SECONDS[kind]
        for each in chosen:
            if not each.has_ended_within(max(deadline - time.monotonic(), 0)):
                self.say(f"{each.program.name} did not end within {GRACE_SECONDS[kind]:.0f} s and is killed")
            self._clear(each)

    def _clear(self, running: Running) -> None:
        """Leave nothing of a process that has ended: children of its own may have outlived it."""
        running.clear()
        self._running.pop(running.program.name, None)
        self._tell_guard(f"{GONE} {running.process.pid}")

    def _start_guard(self) -> None:
        """Start a guard, and tell it of everything that runs already. Raises ProcessFailed when the system does not let it."""
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
        """Start another guard, at once: without one, nothing would end what runs should the supervisor be killed.

        Raises ProcessFailed when none can be kept, so that the stack ends while it still can in order.
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
        with suppress(BrokenPipeError):  # it is known soon that it ended, and another one is told
            self._guard_input.write(f"{line}\n".encode())

    def _next_event(self, until: float | None) -> Ended | Said | None:
        """The next event, or None when there is none until the given moment of the monotonic clock. Raises Stopped."""
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
        """A thread: print what a process says."""
        output = cast("IO[bytes]", running.process.stdout)
        name, is_first = running.program.name, running.program.kind == SERVER
        for said in iter(partial(output.readline, LINE_BYTES), b""):
            line = said.decode(errors="backslashreplace").rstrip("\r\n")
            if is_first:
                self._events.put(Said(name, line))
            else:
                self._printer.say(name, line)
            is_first = False

    def _await_end(self, running: Running) -> None:
        """A thread: tell when a process ends, though children of its own may keep its output open."""
        running.await_end()
        self._events.put(Ended(running))

    def _await_end_of_guard(self, guard: "subprocess.Popen[bytes]") -> None:
        guard.wait()
        self._events.put(GuardEnded())
