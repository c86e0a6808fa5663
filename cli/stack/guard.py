"""The guard: ends what a supervisor started, should the supervisor be gone without having done so (SIGKILL, a crash).

``python -m cli.stack.guard FILE`` is started by ``supervisor.py``. A line on its standard input tells of each process, which
leads a process group: ``program PID`` or ``server PID`` when it starts, ``gone PID`` when it has ended and nothing of its group
is left. Standard input ends with the supervisor, however that ends. What has not been told to be gone is then ended:
programs first, servers last. FILE, in which the supervisor told others of itself, is removed.
"""

import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

PROGRAM, SERVER = "program", "server"
GONE = "gone"
# How long each kind gets to end in order, before what still runs is killed. Programs finish a request or a chunk in hand;
# servers close their files. In this order: programs need the servers until they have ended.
GRACE_SECONDS = {PROGRAM: 15.0, SERVER: 30.0}
POLL_SECONDS = 0.1


def main(file: str) -> None:
    """Follow what the supervisor tells until it is gone, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the supervisor in order is not meant for the guard
    left: dict[int, str] = {}
    for line in sys.stdin:
        word, _, process = line.partition(" ")
        if word == GONE:
            left.pop(int(process), None)
        else:
            left[int(process)] = word
    if left:
        print(f"The supervisor is gone; the guard ends {len(left)} processes.", file=sys.stderr, flush=True)
    for kind, seconds in GRACE_SECONDS.items():
        _end([group for group, of in left.items() if of == kind], seconds)
    Path(file).unlink(missing_ok=True)


def _end(groups: Collection[int], seconds: float) -> None:
    """Return when the groups have ended: their leaders within so many seconds, or else killed, and what these leave killed."""
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)  # to the leader, which sees to those it started
    deadline = time.monotonic() + seconds
    while any(map(_has_leader, groups)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group in groups:
        kill_group(group)


def _has_leader(group: int) -> bool:
    try:
        os.kill(group, 0)  # signals nothing, and fails for a process that is gone
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_group(group: int) -> None:
    """SIGKILL to whatever is left of a process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
