"""The guard: ends the supervisor's processes if the supervisor ends without doing so (SIGKILL, a crash).

``supervisor.py`` starts ``python -m cli.stack.guard FILE``. The guard reads a line from standard input for each process, which
leads a process group: ``program PID`` or ``server PID`` when it starts, ``gone PID`` when its whole group has ended. Standard
input ends when the supervisor ends for any reason. The guard then ends the remaining processes, programs first, servers last,
and removes FILE, the description of the running stack.
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
# The time between SIGTERM and SIGKILL, by kind. Programs finish their current request or chunk, servers close their files. The
# order matters: programs need the servers.
GRACE_SECONDS = {PROGRAM: 15.0, SERVER: 30.0}
POLL_SECONDS = 0.1


def main(file: str) -> None:
    """Track the supervisor's processes until it ends, then end those that are left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # these stop the supervisor, and the guard must outlive it
    left: dict[int, str] = {}
    for line in sys.stdin:
        word, _, process = line.partition(" ")
        if word == GONE:
            left.pop(int(process), None)
        else:
            left[int(process)] = word
    if left:
        print(f"The supervisor has ended; the guard ends {len(left)} processes.", file=sys.stderr, flush=True)
    for kind, seconds in GRACE_SECONDS.items():
        _end([group for group, of in left.items() if of == kind], seconds)
    Path(file).unlink(missing_ok=True)


def _end(groups: Collection[int], seconds: float) -> None:
    """SIGTERM the leaders of process groups, wait up to ``seconds`` for them, then SIGKILL what is left of the groups."""
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)  # to the leader, which stops its children
    deadline = time.monotonic() + seconds
    while any(map(_has_leader, groups)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group in groups:
        kill_group(group)


def _has_leader(group: int) -> bool:
    try:
        os.kill(group, 0)  # only checks whether the process exists
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_group(group: int) -> None:
    """SIGKILL what is left of a process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
