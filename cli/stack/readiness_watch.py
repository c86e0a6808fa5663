"""Prints a line when a stack becomes ready, when it is no longer ready, and when it is ready again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from cli.stack.running_stack import RunningStack

STARTING_POLL_SECONDS = 0.5
POLL_SECONDS = 2.0  # each poll pings every dependency, like a Kubernetes probe
LONG_SECONDS = 20.0  # after this, the reason why it is not ready yet is printed
FAILURES = 2  # in a row before a line is printed: a loaded machine may fail a single poll


@contextmanager
def watch_readiness(stack: RunningStack, say: Callable[[str], None]) -> Iterator[None]:
    """Watch a starting stack within the context, and print changes."""
    ended = Event()
    Thread(target=_watch, args=(stack, say, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _watch(stack: RunningStack, say: Callable[[str], None], ended: Event) -> None:
    began = time.monotonic()
    was_ready, has_said_why, failures, pause = False, False, 0, STARTING_POLL_SECONDS
    while not ended.wait(pause):
        reason = stack.why_not_ready()
        if ended.is_set():
            return  # it is not ready because it is being stopped
        if reason is None:
            if not was_ready:
                say(f"ready: {stack.places()}")
            elif has_said_why:
                say("ready again")
            was_ready, has_said_why, failures, pause = True, False, 0, POLL_SECONDS
            continue
        failures += 1
        is_late = failures >= FAILURES if was_ready else time.monotonic() - began > LONG_SECONDS
        if is_late and not has_said_why:
            say(f"not ready{'' if was_ready else ' yet'}: {reason}")
            has_said_why = True
