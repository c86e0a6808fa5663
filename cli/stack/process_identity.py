"""Which process a process id means: it is given anew when its process has ended, and in each pid namespace once more."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

PROC = Path("/proc")
# man 5 proc_pid_stat: the 2nd field is the name, which alone may contain ")"; the 22nd is the start, in ticks since boot.
START_AFTER_NAME = 22 - 3


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process, as others can tell it from one that has its id later, or elsewhere.

    ``started`` and ``place`` are empty where the system does not say so in /proc, as on macOS. Only the id is compared there.
    """

    pid: int
    started: str
    place: str  # the start of the machine and the pid namespace

    def is_from_here(self) -> bool:
        """Whether its id means something to this process."""
        return self.place == _place()

    def runs(self) -> bool:
        """Whether the process that has this id, if any, is this one."""
        return self.is_from_here() and self.started == _start_of(self.pid)


def identity_of_this_process() -> ProcessIdentity:
    """The identity of the process that asks."""
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
