"""Says when a stack becomes ready, when it no longer is, and when it is again: a line each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from cli.stack.running_stack import RunningStack

STARTING_POLL_SECONDS = 0.5
POLL_SECONDS = 2.0  # each asks every dependency, as a probe of Kubernetes does
LONG_SECONDS = 20.0  # a start that takes longer has a reason, which is told
FAILURES = 2  # in a row, before it is told: a machine under load may miss one


@contextmanager
def watch_readiness(stack: RunningStack, say: Callable[[str], None]) -> Iterator[None]:
    """While the context lasts, watch a stack that is starting, and say what changes."""
    ended = Event()
    Thread(target=_watch, args=(stack, say, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _watch(stack: RunningStack, say: Callable[[str], None], ended: Event) -> None:
    began = time.monotonic()
    was_ready, told_why, failures, pause = False, False, 0, STARTING_POLL_SECONDS
    while not ended.wait(pause):
        lacking = stack.lacking()
        if ended.is_set():
            return  # it is being stopped: of course it is not ready
        if lacking is None:
            if not was_ready:
                say(f"ready: {stack.places()}")
            elif told_why:
                say("ready again")
            was_ready, told_why, failures, pause = True, False, 0, POLL_SECONDS
            continue
        failures += 1
        is_late = failures >= FAILURES if was_ready else time.monotonic() - began > LONG_SECONDS
        if is_late and not told_why:
            say(f"not ready{'' if was_ready else ' yet'}: {lacking}")
            told_why = True
