"""A supervised program: its definition, and its running process."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event
from typing import IO, NamedTuple

from cli.stack.guard import PROGRAM, kill_group


class Program(NamedTuple):
    """The definition of a process to supervise."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None  # None: that of this process
    kind: str = PROGRAM
    errors: IO[bytes] | None = None  # destination of its standard error; None: shown with its output
    irreplaceable: str = ""  # why it cannot be restarted, if it cannot


class Running:
    """A started process, which leads a process group.

    Its pid, also its group's id, cannot be reused before ``clear``, which reaps the process.
    """

    def __init__(self, program: Program, process: "subprocess.Popen[bytes]", began: float) -> None:
        self.program = program
        self.process = process
        self.began = began
        self._has_ended = Event()

    def await_end(self) -> None:
        """Wait until the process has ended. Call it once, from one thread."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS before Python 3.13: reaps the process, so the pid can be reused
            self.process.wait()
        self._has_ended.set()

    def terminate(self) -> None:
        """SIGTERM the process, which stops its children."""
        if not self._has_ended.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.process.pid, signal.SIGTERM)  # Popen.terminate would reap a process that has ended

    def has_ended_within(self, seconds: float) -> bool:
        """Whether it ends within ``seconds``."""
        return self._has_ended.wait(seconds)

    def clear(self) -> None:
        """Kill the process, if it still runs, and what is left of its group; wait until it has ended."""
        kill_group(self.process.pid)
        self._has_ended.wait()
        self.process.wait()

    def how_it_ended(self) -> str:
        """How the process ended, in words; call it after ``clear``."""
        return how_it_ended(self.process)


def how_it_ended(process: "subprocess.Popen[bytes]") -> str:
    """How a reaped process ended, in words."""
    code = process.returncode
    return f"was ended by {_name_of(-code)}" if code < 0 else f"ended with exit code {code}"


def _name_of(number: int) -> str:
    """The name of a signal, or its number: most real-time signals have no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
