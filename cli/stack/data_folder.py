"""The data folder of a stack: private, and locked by one stack at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from app.config.settings import Settings
from app.errors import SettingsError
from app.logs import escaped
from app.storage.private_files import make_private, tighten
from cli.stack.process_identity import ProcessIdentity, identity_of_this_process

LOCK = "lock"
# The engine's files. If a folder has any others (it may be a home folder), only these are made private, not the folder.
OWN = ("lock", "stack.json*", "logs", "valkey", "beat-schedule*", "bridge.heartbeat")
LOCK_SECONDS = 1.0  # other commands hold the lock for moments, and it is held for a moment before the pid is written
LOCK_POLL_SECONDS = 0.05


def data_folder(settings: Settings) -> Path:
    """The data folder, created if missing. Raises SettingsError when it is not writable or cannot be made private."""
    folder = settings.data_path
    name = escaped(str(folder))
    try:
        if not folder.exists():
            make_private(folder)
        make_private(folder / "logs")
        _make_private(folder)
    except OSError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: {name} cannot be used: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"MASTERY_DATA_DIR: {name} cannot be written")
    return folder


def _make_private(folder: Path) -> None:
    everything = set(folder.iterdir())
    own = {found for pattern in OWN for found in folder.glob(pattern)}
    for path in own:
        tighten(path)
    if everything == own:
        tighten(folder)


@contextmanager
def sole_user_of(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder's lock within the context. The file contains the identity of this process.

    The system releases the lock when every process with the open file has ended, so also after a crash.

    Yields:
        The locked file.

    Raises:
        SettingsError: another stack runs on the folder, or has not completely ended.
    """
    with _open(folder, os.O_RDWR | os.O_CREAT) as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _take(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise SettingsError(f"MASTERY_DATA_DIR: a stack already runs on {escaped(str(folder))}; `mastery down` ends it")
            time.sleep(LOCK_POLL_SECONDS)
        lock.truncate()
        lock.write(msgspec.json.encode(identity_of_this_process()).decode())
        lock.flush()
        yield lock
        lock.truncate(0)


def user_of(folder: Path) -> ProcessIdentity | None:
    """Find the process that runs a stack on a folder.

    Returns:
        The process, or None if no stack runs. While a stack is ending, the process may have ended already.

    Raises:
        SettingsError: the lock cannot be read, or is held without the identity of a process.
    """
    path = escaped(str(folder / LOCK))
    try:
        with _open(folder, os.O_RDONLY) as lock:
            deadline = time.monotonic() + LOCK_SECONDS
            # Shared, so that two commands that check at the same time do not take each other for a stack.
            while not _take(lock, fcntl.LOCK_SH):
                lock.seek(0)
                with suppress(msgspec.MsgspecError):  # nothing is written yet, or it was removed
                    return msgspec.json.decode(lock.read(), type=ProcessIdentity)
                if time.monotonic() > deadline:
                    raise SettingsError(f"MASTERY_DATA_DIR: {path} is locked by a process that it does not name")
                time.sleep(LOCK_POLL_SECONDS)
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: {path} cannot be read: {error.strerror}") from error


def _open(folder: Path, flags: int) -> IO[str]:
    return os.fdopen(os.open(folder / LOCK, flags, 0o600), "r+" if flags & os.O_RDWR else "r", encoding="ascii")


def _take(lock: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
