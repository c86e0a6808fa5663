"""Finds work whose task was lost, for sweeps that send it again. Events and batches share it.

Work whose task is in a queue only waits for a worker. Work whose task is neither in a queue nor reserved by a worker lost its
task, for example with a reply of Redis. The task of reserved work is lost if it is overdue, since its worker may have died.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from tasks.broker_errors import translated_broker_errors
from tasks.celery import EngineTask, app

# Work without a task for this long lost its task. Tasks are sent milliseconds after their work is stored, and a worker receives
# a task within milliseconds.
LOST_SECONDS = 2.0


class Claim(Protocol):
    """Claims work without activity for ``seconds``; see ``OverdueClaims.claim``."""

    def __call__(self, seconds: float, limit: int, excluding: Iterable[str]) -> list[str]: ...


class Targets(NamedTuple):
    """The work whose task waits in a queue, and that whose task a worker has reserved."""

    waiting: set[str]
    in_hand: set[str]


def targets(task: EngineTask, queues: Iterable[str]) -> Targets:
    """The first arguments of all calls of a task. Raises DependencyUnavailable."""
    with translated_broker_errors(), app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        waiting, in_hand = channel.calls(tuple(queues), task.name)
    return Targets(_first_arguments(waiting), _first_arguments(in_hand))


def claim_lost(claim: Claim, known: Targets, *, overdue_seconds: float, limit: int) -> list[str]:
    """Claim work whose task was lost: up to ``limit`` without a task, and as many whose task is overdue."""
    lost = claim(LOST_SECONDS, limit, known.waiting | known.in_hand)
    return lost + claim(overdue_seconds, limit, known.waiting.union(lost))


def _first_arguments(calls: list[list[Any]]) -> set[str]:
    return {arguments[0] for arguments in calls if arguments and isinstance(arguments[0], str)}
