"""Files of a data folder hold personal data, or where it is: their owner alone may read them."""

import os
from pathlib import Path

PRIVATE = 0o077  # for os.umask: what others and the group may not do with new files and folders: anything


def make_private(folder: Path) -> None:
    """Make a folder that its owner alone may look into, or tighten one that others may. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tighten(folder)


def tighten(path: Path) -> None:
    """Take from all but the owner what they may do with a file or folder. Raises OSError."""
    mode = path.stat().st_mode & 0o7777
    if mode & PRIVATE:
        path.chmod(mode & ~PRIVATE)


def touch(path: Path) -> None:
    """Make a file that its owner alone may read, or mark it as just changed; with its folder, if there was none.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.utime(path)
