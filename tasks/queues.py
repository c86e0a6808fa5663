"""The queues of tasks, and the order in which a worker serves them."""

from collections.abc import Iterable

from app.batches.batch import Priority
from app.config.field_types import listed
from app.errors import SettingsError

EVENTS = "events"
EVENTS_BULK = "events-bulk"
INTERACTIVE = "interactive"
MAINTENANCE = "maintenance"
BATCH_QUEUES = {priority: f"batch-{priority}" for priority in Priority}
QUEUES = (EVENTS, EVENTS_BULK, INTERACTIVE, MAINTENANCE, *BATCH_QUEUES.values())

# A worker serves queues that have tasks in proportion to their weights. So a caller waits for a task or two of other queues,
# not for their backlog; events of tenants with low rates wait for one chunk of the bulk lane; and of the chunks of batches, at
# least one in seven is of a batch of low priority. See decision 0021.
WEIGHTS = {
    **dict.fromkeys((EVENTS, EVENTS_BULK, INTERACTIVE, MAINTENANCE), 32),
    BATCH_QUEUES[Priority.HIGH]: 4,
    BATCH_QUEUES[Priority.NORMAL]: 2,
    BATCH_QUEUES[Priority.LOW]: 1,
}


def served_queues(chosen: str) -> tuple[str, ...]:
    """The queues that a worker serves, by the value of ``MASTERY_WORKER_QUEUES``.

    Returns:
        Names from ``QUEUES``; all of them if none was chosen.

    Raises:
        SettingsError: One of them does not exist. Nobody would serve the queue that was meant.
    """
    names = tuple(listed(chosen))
    if unknown := [name for name in names if name not in QUEUES]:
        raise SettingsError(f"MASTERY_WORKER_QUEUES: {', '.join(unknown)}: no such queue; there are {', '.join(QUEUES)}")
    return names or QUEUES


class WeightedCycle:
    """The order in which kombu asks the queues for a message: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996).

    Each task has a start tag: the later of the virtual time and the finish tag of its queue's last task. The finish tag is
    1/weight later. The queue with the smallest start tag is served, and its start tag becomes the virtual time. So a queue that
    was empty is served next, and does not get what it did not use.
    """

    def __init__(self, it: Iterable[str] | None = None) -> None:
        self._finish: dict[str, float] = dict.fromkeys(it or (), 0.0)
        self._virtual_time = 0.0

    def update(self, it: Iterable[str]) -> None:
        """Set the queues; those that stay keep their tags."""
        self._finish = {queue: self._finish.get(queue, 0.0) for queue in it}

    def consume(self, n: int) -> list[str]:
        """The first ``n`` queues, the one to be served next first. Of equal tags, it is the one that was idle for longer."""
        return sorted(self._finish, key=lambda queue: (self._start(queue), self._finish[queue]))[:n]

    def rotate(self, last_used: str) -> str:
        """Note that a message of a queue was received."""
        if last_used in self._finish:
            self._virtual_time = self._start(last_used)
            self._finish[last_used] = self._virtual_time + 1 / WEIGHTS.get(last_used, 1)
        return last_used

    def _start(self, queue: str) -> float:
        return max(self._virtual_time, self._finish[queue])
