"""The order in which a worker serves its queues."""

from collections import Counter
from itertools import pairwise

import pytest

from app.batches.batch import Priority
from app.errors import SettingsError
from tasks.queues import BATCH_QUEUES, EVENTS, EVENTS_BULK, INTERACTIVE, QUEUES, WeightedCycle, served_queues

LOW, NORMAL, HIGH = (BATCH_QUEUES[priority] for priority in Priority)


def serve(cycle: WeightedCycle, busy: set[str], tasks: int) -> list[str]:
    """The queues of the next tasks, if these queues always have some."""
    served = []
    for _ in range(tasks):
        queue = next(queue for queue in cycle.consume(len(QUEUES)) if queue in busy)
        cycle.rotate(queue)
        served.append(queue)
    return served


def cycle() -> WeightedCycle:
    made = WeightedCycle()
    made.update(QUEUES)
    return made


def test_busy_queues_are_served_by_weight() -> None:
    """Of seven chunks of batches, four are of high priority, two of normal and one of low."""
    assert Counter(serve(cycle(), {LOW, NORMAL, HIGH}, 700)) == {HIGH: 400, NORMAL: 200, LOW: 100}


def test_low_batches_never_wait_for_more_than_seven_chunks_of_others() -> None:
    """In any run of the order, not only on average."""
    order = serve(cycle(), {LOW, NORMAL, HIGH}, 700)
    turns = [at for at, queue in enumerate(order) if queue == LOW]
    assert max(later - earlier for earlier, later in pairwise(turns)) <= 8


def test_events_keep_most_of_a_worker_beside_batches() -> None:
    """Sixteen chunks of events for one of a batch of normal priority."""
    assert Counter(serve(cycle(), {EVENTS, NORMAL}, 1700)) == {EVENTS: 1600, NORMAL: 100}


def test_a_queue_that_was_empty_is_served_next() -> None:
    """A caller waits for one task, however long the others have been busy."""
    made = cycle()
    serve(made, {EVENTS, EVENTS_BULK, LOW, NORMAL, HIGH}, 1000)
    assert serve(made, set(QUEUES), 1) == [INTERACTIVE]


def test_a_queue_does_not_get_what_it_did_not_use() -> None:
    """After a long time without tasks, its share is its weight, not what it missed."""
    made = cycle()
    serve(made, {LOW}, 1000)
    assert Counter(serve(made, {LOW, HIGH}, 500)) == {HIGH: 400, LOW: 100}


def test_queues_that_stay_keep_their_turn() -> None:
    """kombu sets the queues again with each change of a worker's queues."""
    made = cycle()
    serve(made, {LOW, HIGH}, 100)
    expected = serve(made, {LOW, HIGH}, 10)
    made = cycle()
    serve(made, {LOW, HIGH}, 100)
    made.update([*QUEUES, "another"])
    assert serve(made, {LOW, HIGH}, 10) == expected
    assert made.rotate("unknown") == "unknown"
    assert len(made.consume(3)) == 3


def test_a_worker_serves_the_queues_that_it_is_given() -> None:
    assert served_queues("events, events-bulk,") == (EVENTS, EVENTS_BULK)


def test_a_worker_serves_all_queues_by_default() -> None:
    assert served_queues("") == QUEUES


def test_a_queue_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^MASTERY_WORKER_QUEUES: event: no such queue; there are events, events-bulk, "):
        served_queues("event, interactive")
