"""``mastery down``: end the stack that runs on the data folder."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import click

from app.errors import EngineError, SettingsError
from app.logs import escaped
from cli.data_folder import user_of
from cli.guard import GRACE_SECONDS

# What a stack takes at most to end in order, and its guard at most to end what a killed one left.
WAIT_SECONDS = sum(GRACE_SECONDS.values()) + 5.0
POLL_SECONDS = 0.1


class DoesNotEnd(EngineError):
    """The stack was told to end, and did not."""


def run(folder: Path) -> None:
    """End the stack of a folder, and return when it has ended; where none runs, all is as it was to be.

    Raises SettingsError when the stack is another user's, DoesNotEnd when it does not end even when killed.
    """
    process = user_of(folder)
    if process is None:
        click.echo(f"No stack runs on {escaped(str(folder))}.")
        return
    _signal(process, signal.SIGTERM)
    _signal(process, signal.SIGCONT)  # for one that was suspended, by Ctrl-Z say
    if not _has_ended(folder):
        click.echo("It does not end in order, and is killed.", err=True)
        _signal(process, signal.SIGKILL)
        if not _has_ended(folder):
            raise DoesNotEnd(f"the stack on {escaped(str(folder))} does not end")
    click.echo("Stopped.")


def _signal(process: int, number: signal.Signals) -> None:
    try:
        with suppress(ProcessLookupError):  # its guard is ending what it left
            os.kill(process, number)
    except PermissionError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: the stack there, process {process}, is another user's") from error


def _has_ended(folder: Path) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while user_of(folder) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
