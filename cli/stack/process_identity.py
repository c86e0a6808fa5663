"""Identifies a process beyond its pid, which is reused after its end and exists once in each pid namespace."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

PROC = Path("/proc")
# man 5 proc_pid_stat: the 2nd field is the name, which alone may contain ")"; the 22nd is the start, in ticks since boot.
START_AFTER_NAME = 22 - 3


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process, distinguishable from others with the same pid at another time or in another namespace.

    ``started`` and ``place`` are empty on systems without /proc, such as macOS. Only the pid is compared there.
    """

    pid: int
    started: str
    place: str  # boot id and pid namespace

    def is_from_here(self) -> bool:
        """Whether its pid is valid for this process: same boot and pid namespace."""
        return self.place == _place()

    def runs(self) -> bool:
        """Whether the process still runs, and its pid was not reused."""
        return self.is_from_here() and self.started == _start_of(self.pid)


def identity_of_this_process() -> ProcessIdentity:
    """The identity of the current process."""
    return ProcessIdentity(os.getpid(), _start_of(os.getpid()), _place())


def _start_of(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[START_AFTER_NAME].decode()
    return ""


def _place() -> str:
    with suppress(FileNotFoundError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    return ""
