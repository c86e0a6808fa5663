"""Machines whose clocks differ: a worker runs every task after its delay, whatever times are in a message."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.malformed import task
from tests.stack import Stack, wait_for

SECONDS = 30.0
HOURS = timedelta(hours=5)


def send(stack: Stack, **headers: Any) -> str:
    """A calculation for an unknown student; returns the key of its result."""
    message = task("mastery.calculate", ["t", "nobody", [0.4, 0.3, 0.2, 0.1]], **headers)
    prefix = f"{stack.engine.settings.key_prefix}:celery:"
    stack.engine.redis.lpush(f"{prefix}interactive", json.dumps(message))
    return f"{prefix}celery-task-meta-{message['headers']['id']}"


def was_run(stack: Stack, key: str) -> bool:
    """Whether the task ran and was not revoked."""
    found = cast("bytes | None", stack.engine.redis.get(key))
    assert found is None or json.loads(found)["status"] == "FAILURE", "there is no such student"
    return found is not None


@pytest.mark.parametrize("hours", [-HOURS, HOURS], ids=["sender behind", "sender ahead"])
def test_a_pause_is_counted_by_one_clock(stack: Stack, hours: timedelta) -> None:
    """A retry whose time another clock put into the far future, or into the past, runs after its one-second delay."""
    then = datetime.now(UTC) + hours
    key = send(stack, eta=then.isoformat(), pause=1.0)
    wait_for(lambda: was_run(stack, key), SECONDS)


@pytest.mark.parametrize("name", ["eta", "expires"])
def test_times_of_another_clock_mean_nothing(stack: Stack, name: str) -> None:
    """No message expires, and none waits for hours; the engine's messages have no such times."""
    times = {"eta": datetime.now(UTC) + HOURS, "expires": datetime.now(UTC) - HOURS}
    key = send(stack, **{name: times[name].isoformat()})
    wait_for(lambda: was_run(stack, key), SECONDS)
