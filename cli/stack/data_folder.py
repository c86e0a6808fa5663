"""The data folder of a stack: one stack at a time, and nobody else reads it."""

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
# What the engine keeps there. A folder that holds anything else is somebody's home, say: it is not closed to others, what is
# the engine's own is.
OWN = ("lock", "stack.json*", "logs", "valkey", "beat-schedule*", "bridge.heartbeat")
LOCK_SECONDS = 1.0  # others look at the lock for moments, and it is held for moments without a name in it
LOCK_POLL_SECONDS = 0.05


def data_folder(settings: Settings) -> Path:
    """The data folder, made if it was missing. Raises SettingsError when it cannot be written, or be kept from others."""
    folder = settings.data_path
    name = escaped(str(folder))
    try:
        if not folder.exists():
            make_private(folder)
        make_private(folder / "logs")
        _keep_from_others(folder)
    except OSError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: {name} cannot be used: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"MASTERY_DATA_DIR: {name} cannot be written")
    return folder


def _keep_from_others(folder: Path) -> None:
    everything = set(folder.iterdir())
    own = {found for pattern in OWN for found in folder.glob(pattern)}
    for path in own:
        tighten(path)
    if everything == own:
        tighten(folder)


@contextmanager
def sole_user_of(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder's lock, which the system lets go when every process that has the file open is gone.

    The file says which process runs the stack; nothing once that ended in order. Raises SettingsError when another one runs on
    it, or has not quite ended.
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
    """The process that runs a stack on a folder, or None. While a stack is ending, it may be gone already.

    Raises SettingsError when that cannot be known.
    """
    path = escaped(str(folder / LOCK))
    try:
        with _open(folder, os.O_RDONLY) as lock:
            deadline = time.monotonic() + LOCK_SECONDS
            # Shared: two who look at the same moment do not take each other for a stack.
            while not _take(lock, fcntl.LOCK_SH):
                lock.seek(0)
                with suppress(msgspec.MsgspecError):  # nothing is written yet, or any more
                    return msgspec.json.decode(lock.read(), type=ProcessIdentity)
                if time.monotonic() > deadline:
                    raise SettingsError(f"MASTERY_DATA_DIR: {path} is held by a process that it does not name")
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
