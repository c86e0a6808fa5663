"""How long a server lives that is started for another process: no longer than that one."""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial

POLL_SECONDS = 0.5  # how soon it is noticed that the starter is gone, or that a child has ended
PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal that the kernel sends to a child whose parent is gone


def wait_until_told(child: "subprocess.Popen[bytes] | None" = None, *, supervised: bool = False) -> None:
    """Return when this process is to end, or when its child, the actual server, has ended by itself.

    It is to end when its standard input ends, which whoever started it keeps open, or when that one is gone though others have
    inherited the pipe. A ``supervised`` process is told by SIGTERM only: its supervisor's guard sees to it.
    """
    starter = os.getppid()
    inputs = [] if supervised else [sys.stdin]
    while (child is None or child.poll() is None) and (supervised or os.getppid() == starter):
        ready, _, _ = select.select(inputs, [], [], POLL_SECONDS)
        if ready and not os.read(sys.stdin.fileno(), 4096):
            return


def dies_with_this_process() -> Callable[[], None] | None:
    """For a child, before it becomes another program: have the kernel kill it when this process is gone, however it ends.

    Only Linux can. Elsewhere, what kills this process has to kill its group. To be used before any thread is started.
    """
    return partial(_die_with, os.getpid()) if sys.platform == "linux" else None


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before it was asked for
        os._exit(1)
