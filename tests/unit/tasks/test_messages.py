"""Malformed messages are detected before Celery or kombu process them, and reported without their content."""

import json

import pytest

from tasks.messages import flaw
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
