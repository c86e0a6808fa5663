"""``mastery down``: end the stack that runs on the data folder."""

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

# What a stack takes at most to end in order, and its guard at most to end what a killed one left.
WAIT_SECONDS = sum(GRACE_SECONDS.values()) + 5.0
POLL_SECONDS = 0.1


class DoesNotEnd(EngineError):
    """The stack was told to end, and did not."""


def run(folder: Path) -> None:
    """End the stack of a folder, and return when it has ended; where none runs, all is as it was to be.

    Raises SettingsError when the stack is another user's, or runs elsewhere; DoesNotEnd when it does not end even when killed.
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
    _signal(process, signal.SIGCONT)  # for one that was suspended, by Ctrl-Z say
    if not _has_ended(folder, process):
        click.echo("It does not end in order, and is killed.", err=True)
        _signal(process, signal.SIGKILL)
        if not _has_ended(folder, process):
            raise DoesNotEnd(f"the stack on {escaped(str(folder))} does not end")
    click.echo("Stopped.")


def _signal(process: ProcessIdentity, number: signal.Signals) -> None:
    if not process.runs():  # its guard is ending what it left, and its id may be somebody else's by now
        return
    try:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
    except PermissionError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: the stack there, process {process.pid}, is another user's") from error


def _has_ended(folder: Path, process: ProcessIdentity) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while user_of(folder) == process:  # another one may have been started since
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
