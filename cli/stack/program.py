"""A program that is supervised, before and after it was started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event
from typing import IO, NamedTuple

from cli.stack.guard import PROGRAM, kill_group


class Program(NamedTuple):
    """A process to be: its name, its command, and what happens when it ends unasked."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None  # None: as this process
    kind: str = PROGRAM
    errors: IO[bytes] | None = None  # where its standard error goes; None: it is shown
    irreplaceable: str = ""  # what is lost with it, so that it is not started again


class Running:
    """A process that was started, and leads a group.

    Its id, which is its group's too, is given to no other process before ``clear``: until then it has not been waited for.
    """

    def __init__(self, program: Program, process: "subprocess.Popen[bytes]", began: float) -> None:
        self.program = program
        self.process = process
        self.began = began
        self._has_ended = Event()

    def await_end(self) -> None:
        """Return when the process has ended. To be called once, by a thread."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS before Python 3.13: the id is free from here on
            self.process.wait()
        self._has_ended.set()

    def tell_to_end(self) -> None:
        """SIGTERM to the process, which sees to those it started."""
        if not self._has_ended.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.process.pid, signal.SIGTERM)  # Popen's own would wait for one that has ended

    def has_ended_within(self, seconds: float) -> bool:
        """Whether it has ended, for which it gets so many seconds."""
        return self._has_ended.wait(seconds)

    def clear(self) -> None:
        """Kill the process if it still runs, and whatever is left of its group; return when it has ended."""
        kill_group(self.process.pid)
        self._has_ended.wait()
        self.process.wait()

    def how_it_ended(self) -> str:
        """In words, once it is cleared."""
        return how_it_ended(self.process)


def how_it_ended(process: "subprocess.Popen[bytes]") -> str:
    """In words, how a process ended that has been waited for."""
    code = process.returncode
    return f"was ended by {_name_of(-code)}" if code < 0 else f"ended with exit code {code}"


def _name_of(number: int) -> str:
    """The name of a signal; most real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
