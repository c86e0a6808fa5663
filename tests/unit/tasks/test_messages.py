"""Malformed messages are detected before Celery or kombu process them, and reported without their content."""

import json
from typing import Any

import pytest

from tasks.messages import due_at, flaw
from tests.malformed import CHANGES, NO_JSON, SECRET, raw_messages, task

SPOILT = raw_messages(CHANGES) | NO_JSON


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_message_is_refused(name: str) -> None:
    """Each kind has a reason, which quotes nothing of the message."""
    reason = flaw(SPOILT[name], is_task=True)
    assert reason
    assert SECRET not in reason


def test_what_celery_writes_is_taken() -> None:
    """A task, a retry with a delay, and a redelivered message."""
    again = task(retries=3, eta="2026-10-28T12:00:00+00:00", pause=1.5, redelivered=True, timelimit=[None, 30])
    assert flaw(json.dumps(task()).encode(), is_task=True) is None
    assert flaw(json.dumps(again).encode(), is_task=True) is None


def test_a_broadcast_is_no_task() -> None:
    """A broadcast needs no task in its headers, but a readable body."""
    message = task()
    message["headers"] = {"clock": 7, "expires": 1.5}
    assert flaw(json.dumps(message).encode(), is_task=False) is None
    assert flaw(json.dumps(message).encode(), is_task=True) is not None
    message["body"] = "!"
    assert flaw(json.dumps(message).encode(), is_task=False) is not None


@pytest.mark.parametrize(
    ("message", "due"),
    [
        (task(published_at=1_000.5), 1_000.5),
        (task(published_at=1_000.5, pause=2.0), 1_002.5),  # it does not wait during the delay that was asked for
        (task(), None),  # of an older version of the engine
        ({"headers": {}}, None),
    ],
)
def test_since_when_a_task_may_run(message: dict[str, Any], due: float | None) -> None:
    """From its publication and its delay; unknown if it does not tell, or is no task."""
    assert due_at(json.dumps(message).encode()) == due
