"""How long maintenance runs: in slices, so that it delays neither the other tasks of its queue nor the end of a worker.

The work is an iterator that does a bounded step each time, and finds in Redis where to continue: a task that was lost or
stopped is sent again, without a state of its own. It yields only where it did something, so every slice makes progress.
"""

import time
from collections.abc import Iterable

# Steps are a few milliseconds to half a second; the soft time limit of tasks is 30 s.
SLICE_SECONDS = 2.0


def finish_in_slice(work: Iterable[object]) -> bool:
    """Work for ``SLICE_SECONDS``, but at least one step. Returns False if work may be left, so the task must be sent again."""
    deadline = time.monotonic() + SLICE_SECONDS
    return all(time.monotonic() < deadline for _ in work)
