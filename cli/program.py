"""A program that is supervised, before and after it was started."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

from cli.guard import PROGRAM


class Program(NamedTuple):
    """A process to be: its name, its command, and what happens when it ends unasked."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None  # None: as this process
    kind: str = PROGRAM
    errors: IO[bytes] | None = None  # where its standard error goes; None: it is shown
    irreplaceable: str = ""  # what is lost with it, so that it is not started again


class Running(NamedTuple):
    """A process that was started."""

    program: Program
    process: "subprocess.Popen[bytes]"
    began: float

    def how_it_ended(self) -> str:
        """In words, once it has."""
        code = self.process.returncode
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
