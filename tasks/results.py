"""The state and result of a task."""

import time
from enum import StrEnum
from typing import Any, NamedTuple

from celery import states

from tasks.broker_errors import translated_broker_errors
from tasks.celery import app

# Polling instead of a subscription: Celery has one subscription per process, which is not thread-safe, and a poll of 0.1 ms
# every few milliseconds costs less than a connection per waiting caller. The pause grows, since long tasks tolerate a delay.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.002, 0.1


class TaskStatus(StrEnum):
    """The state of a task, as reported to callers."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class TaskState(NamedTuple):
    """A task's status, and its return value or exception."""

    status: TaskStatus
    result: Any = None


def task_state(task_id: str) -> TaskState:
    """The task's current state. Raises DependencyUnavailable when the result backend does not answer."""
    with translated_broker_errors("result backend"):
        meta = app.backend.get_task_meta(task_id)
    if meta["status"] == states.SUCCESS:
        return TaskState(TaskStatus.SUCCEEDED, meta["result"])
    if meta["status"] in states.EXCEPTION_STATES and meta["status"] != states.RETRY:
        return TaskState(TaskStatus.FAILED, meta["result"])
    return TaskState(TaskStatus.PENDING)


def await_task(task_id: str, seconds: float) -> TaskState:
    """Wait for a task, at most ``seconds``. Returns its state. Raises DependencyUnavailable."""
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE_SECONDS
    while (state := task_state(task_id)).status is TaskStatus.PENDING and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
    return state
