"""How many tasks wait for workers, and for how long: measured in the broker, so also when no worker is left."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from tasks.broker_errors import translated_broker_errors
from tasks.celery import app
from tasks.messages import due_at
from tasks.queues import QUEUES


class Waiting(NamedTuple):
    """The tasks that wait in a queue.

    Attributes:
        tasks: their number.
        oldest_age: seconds since the one to be taken next was published, without the delay that its sender asked for; 0 if none
            waits or if the message does not tell. Clocks of different machines may differ.
    """

    tasks: int
    oldest_age: float


class Backlog(NamedTuple):
    """The tasks that wait, by queue, and the number of those that workers have reserved and not yet finished."""

    queues: Mapping[str, Waiting]
    reserved: int


def read_backlog(now: datetime) -> Backlog:
    """Read the backlog in one round trip. Raises DependencyUnavailable when the broker does not answer."""
    with translated_broker_errors(), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1)
        channel: Any = connection.default_channel
        ends, reserved = channel.ends(QUEUES)
    return Backlog(
        {queue: Waiting(tasks, _age(message, now)) for queue, (tasks, message) in zip(QUEUES, ends, strict=True)}, reserved
    )


def _age(message: bytes | None, now: datetime) -> float:
    due = due_at(message) if message else None
    return 0.0 if due is None else max(0.0, now.timestamp() - due)
