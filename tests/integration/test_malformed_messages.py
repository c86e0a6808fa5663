"""The worker survives any message in its queues: malformed ones are set aside, counted, and not shown anywhere."""

import json

import psutil
import pytest
import requests

from tasks.queues import QUEUES
from tasks.transport import BROADCASTS
from tests.malformed import CHANGES, NO_JSON, SECRET, USELESS, distorted_tasks, raw_messages, task
from tests.stack import Stack, wait_for

SECONDS = 60.0


def worker(stack: Stack) -> psutil.Process:
    children = psutil.Process(stack.process.pid).children(recursive=True)
    return next(each for each in children if "worker" in each.cmdline() and each.children())


def assert_goes_on(stack: Stack, before: psutil.Process) -> None:
    """The same worker still works: it sweeps again, and responds."""
    stack.engine.redis.delete(f"{stack.engine.settings.key_prefix}:{{.tasks}}:swept")
    wait_for(stack.engine.sweeps.go_on, SECONDS)
    assert worker(stack) == before
    wait_for(lambda: requests.get(f"{stack.running.http_url}/ready", timeout=10).ok, SECONDS)


@pytest.mark.parametrize("queue", QUEUES)
def test_what_is_no_message_is_set_aside(stack: Stack, queue: str) -> None:
    """Each kind in each queue is kept with a reason, counted in the bridge's metrics, and not quoted in the log."""
    before, printed, counted = worker(stack), len(stack.log()), stack.engine.malformed_messages.counts().get(queue, 0)
    spoilt = raw_messages(CHANGES) | NO_JSON
    stack.engine.redis.lpush(f"{stack.engine.settings.key_prefix}:celery:{queue}", *spoilt.values())
    wait_for(lambda: stack.engine.malformed_messages.counts().get(queue, 0) == counted + len(spoilt), SECONDS)
    kept = [message for name, _, message in stack.engine.malformed_messages.kept() if name == queue]
    assert {each[:10_000] for each in spoilt.values()} <= set(kept)
    assert_goes_on(stack, before)
    metrics = requests.get(stack.running.bridge_metrics_url, timeout=10).text
    assert f'mastery_malformed_messages_total{{queue="{queue}"}} {counted + len(spoilt)}.0' in metrics
    log = stack.log()[printed:]
    assert log.count(f"a message of {queue} is set aside") == len(spoilt)
    assert SECRET not in log


def test_a_message_of_no_use_is_set_aside(stack: Stack) -> None:
    """An unknown task, or invalid times: Celery would log the whole message."""
    before, printed, counted = worker(stack), len(stack.log()), stack.engine.malformed_messages.counts().get("maintenance", 0)
    useless = raw_messages(USELESS, name="events.sweep", arguments=[SECRET])
    stack.engine.redis.lpush(f"{stack.engine.settings.key_prefix}:celery:maintenance", *useless.values())
    wait_for(lambda: stack.engine.malformed_messages.counts().get("maintenance", 0) >= counted + 3, SECONDS)
    assert_goes_on(stack, before)
    assert "is of a task that this worker does not know" in stack.log()[printed:]
    assert SECRET not in stack.log()[printed:]


def test_nothing_in_a_queue_ends_the_worker(stack: Stack) -> None:
    """A message with each of its parts, at any depth, replaced by values of every kind is set aside or processed."""
    before, queue = worker(stack), f"{stack.engine.settings.key_prefix}:celery:maintenance"
    messages = distorted_tasks("events.sweep")
    assert len(messages) > 500
    stack.engine.redis.lpush(queue, *messages)
    wait_for(lambda: not stack.engine.redis.llen(queue), SECONDS)
    assert_goes_on(stack, before)


def test_arguments_that_a_task_does_not_take_are_not_told(stack: Stack) -> None:
    """Well-formed messages with any arguments: the tasks fail, and neither log nor Flower quotes them."""
    before, printed = worker(stack), len(stack.log())
    names = ("events.record", "events.sweep", "mastery.calculate", "mastery.refresh", "audit.summarize", "audit.trim")
    for name in names:
        for arguments in ([SECRET], [[SECRET]], [{SECRET: SECRET}], [SECRET, SECRET, [SECRET]], [SECRET] * 9):
            message = raw_messages({"": lambda each: each}, name=name, arguments=arguments)[""]
            stack.engine.redis.lpush(f"{stack.engine.settings.key_prefix}:celery:interactive", message)
        unknown = task(name, [], {SECRET: SECRET})
        stack.engine.redis.lpush(f"{stack.engine.settings.key_prefix}:celery:interactive", json.dumps(unknown))
    wait_for(lambda: not stack.engine.redis.llen(f"{stack.engine.settings.key_prefix}:celery:interactive"), SECONDS)
    assert_goes_on(stack, before)
    shown = requests.get(f"{stack.running.flower_url}/api/tasks?limit=500", auth=("mastery", "mastery"), timeout=10).text
    assert "events.sweep" in shown
    assert SECRET not in shown
    assert SECRET not in stack.log()[printed:]


def test_a_broadcast_that_is_none_is_dropped(stack: Stack) -> None:
    """Broadcasts come over channels: remote control, and events, which Flower receives too."""
    engine, before, printed = stack.engine, worker(stack), len(stack.log())
    prefix = f"{engine.settings.key_prefix}:celery:/0."
    counted = engine.malformed_messages.counts().get(BROADCASTS, 0)
    spoilt = [each for each in (raw_messages(CHANGES) | NO_JSON).values() if each]
    for channel in ("celery.pidbox", "celeryev/worker.heartbeat", "celeryev/task.multi"):
        for message in spoilt:
            engine.redis.publish(prefix + channel, message)
    wait_for(lambda: engine.malformed_messages.counts().get(BROADCASTS, 0) > counted, SECONDS)
    assert_goes_on(stack, before)
    wait_for(lambda: "celery@" in workers_shown(stack), SECONDS)
    assert SECRET not in stack.log()[printed:]


def workers_shown(stack: Stack) -> str:
    """Flower's list of workers."""
    url = f"{stack.running.flower_url}/api/workers?status=1"
    return json.dumps(requests.get(url, auth=("mastery", "mastery"), timeout=10).json())
