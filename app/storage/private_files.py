"""Permissions of a data folder's files: only the owner may read them, since they hold personal data or lead to it."""

import os
from pathlib import Path

PRIVATE = 0o077  # umask: no permissions for group and others


def make_private(folder: Path) -> None:
    """Create a folder that only its owner may access, or restrict an existing one. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tighten(folder)


def tighten(path: Path) -> None:
    """Remove the permissions of group and others from a file or folder. Raises OSError."""
    mode = path.stat().st_mode & 0o7777
    if mode & PRIVATE:
        path.chmod(mode & ~PRIVATE)


def touch(path: Path) -> None:
    """Create a file that only its owner may read, with its folder, or update its modification time. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.utime(path)
