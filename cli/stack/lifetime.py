"""Ends a server together with the process that started it."""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial

POLL_SECONDS = 0.5  # how soon the end of the parent or the child is noticed
PARENT = os.getppid()  # read at once, since the parent may end while the server starts
PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal that the kernel sends to a child when its parent ends


def wait_until_stopped(child: "subprocess.Popen[bytes] | None" = None, *, supervised: bool = False) -> None:
    """Return when this process must stop, or when its child, the actual server, has ended by itself.

    It must stop when its parent closes its standard input, or has ended (other processes may have inherited the pipe). A
    ``supervised`` process stops at SIGTERM only, which the supervisor or its guard sends.
    """
    inputs = [] if supervised else [sys.stdin]
    while (child is None or child.poll() is None) and (supervised or os.getppid() == PARENT):
        ready, _, _ = select.select(inputs, [], [], POLL_SECONDS)
        if ready and not os.read(sys.stdin.fileno(), 4096):
            return


def dies_with_this_process() -> Callable[[], None] | None:
    """A ``preexec_fn`` that makes the kernel kill the child when this process ends; None except on Linux.

    On other systems, kill the process group instead. Use it before any thread is started.

    Returns:
        The function, or None.
    """
    return partial(_die_with, os.getpid()) if sys.platform == "linux" else None


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before prctl took effect
        os._exit(1)
