"""``mastery down``: stops the stack that runs on the data folder."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import click

from app.errors import EngineError, SettingsError
from app.logs import escaped
from cli.stack.data_folder import user_of
from cli.stack.guard import GRACE_SECONDS
from cli.stack.process_identity import ProcessIdentity

# The longest that a stack takes to stop regularly, or that its guard takes after the stack was killed.
WAIT_SECONDS = sum(GRACE_SECONDS.values()) + 5.0
POLL_SECONDS = 0.1


class DoesNotEnd(EngineError):
    """The stack does not stop."""


def run(folder: Path) -> None:
    """Stop the stack of a folder and wait until it has stopped. It is no error if none runs.

    Raises:
        SettingsError: the stack is another user's, or runs in another container or on another machine.
        DoesNotEnd: the stack does not end although it was killed.
    """
    process = user_of(folder)
    if process is None:
        click.echo(f"No stack runs on {escaped(str(folder))}.")
        return
    if not process.is_from_here():
        raise SettingsError(
            f"MASTERY_DATA_DIR: the stack on {escaped(str(folder))} runs elsewhere, in another container or on another machine "
            "that has the folder as well; `mastery down` ends it there"
        )
    _signal(process, signal.SIGTERM)
    _signal(process, signal.SIGCONT)  # in case it is suspended, for example by Ctrl-Z
    if not _has_ended(folder, process):
        click.echo("It does not stop in time and is killed.", err=True)
        _signal(process, signal.SIGKILL)
        if not _has_ended(folder, process):
            raise DoesNotEnd(f"the stack on {escaped(str(folder))} does not end")
    click.echo("Stopped.")


def _signal(process: ProcessIdentity, number: signal.Signals) -> None:
    if not process.runs():  # its pid may belong to another process by now
        return
    try:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
    except PermissionError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: the stack there, process {process.pid}, is another user's") from error


def _has_ended(folder: Path, process: ProcessIdentity) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while user_of(folder) == process:  # another stack may have been started meanwhile
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
