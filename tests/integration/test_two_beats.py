"""Two beat processes of one engine send each task once, and one replaces the other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import pytest
import redis

from tasks.beat import LEASE_SECONDS, LONGEST_SLEEP_SECONDS
from tasks.timing import SWEEP_EVERY_SECONDS
from tests.stack import wait_for, without_settings

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS = 60.0
# After the leader died: its lease, the other's next look, and as much again on a busy machine.
TAKEOVER_SECONDS = 2 * (LEASE_SECONDS + LONGEST_SLEEP_SECONDS)
WATCHED_SECONDS = 9.0
SWEEP = "events.sweep"  # the task that is sent most often
STANDS_BY, TAKES_OVER = "beat stands by", "beat takes over"


class Sent(NamedTuple):
    """A task, when it was taken from the queue, and the process that sent it."""

    task: str
    at: float
    pid: int


class Queue:
    """The queue of periodic tasks, emptied as by a fast worker."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._redis = client
        self._key = f"{prefix}:celery:maintenance"

    def take(self, seconds: float) -> list[Sent]:
        """Everything that is sent in this time."""
        taken, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            if message := self._redis.rpop(self._key):
                headers: dict[str, Any] = msgspec.json.decode(message)["headers"]  # type: ignore[arg-type]  # not awaitable
                taken.append(
                    Sent(headers["task"], time.monotonic(), int(headers["origin"].partition("@")[0].removeprefix("gen")))
                )
            else:
                time.sleep(0.005)
        return taken


class Beat:
    """A beat process and its log."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["celery", "-A", "tasks.celery", "beat"], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def said(self, text: str) -> int:
        """How many lines of its log have this text."""
        return sum(text in line for line in self._log.read_text().splitlines())


@pytest.fixture
def environment(redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        **without_settings(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MASTERY_REDIS_URL": redis_url,
        "MASTERY_KEY_PREFIX": f"beats-{uuid4().hex[:12]}",
        "MASTERY_DATA_DIR": str(tmp_path / "data"),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def queue(environment: dict[str, str]) -> Iterator[Queue]:
    with redis.Redis.from_url(environment["MASTERY_REDIS_URL"]) as client:
        yield Queue(client, environment["MASTERY_KEY_PREFIX"])


@contextmanager
def two_beats(environment: dict[str, str], queue: Queue, folder: Path) -> Iterator[tuple[Beat, Beat]]:
    """The beat that sends, and the one that stands by."""
    beats = [Beat(environment, folder / f"beat-{number}.log") for number in range(2)]
    try:
        wait_for(lambda: any(each.said(STANDS_BY) for each in beats), UP_SECONDS)
        queue.take(0.5)  # what is sent at the start
        leader, standby = sorted(beats, key=lambda each: each.said(STANDS_BY))
        assert leader.said(STANDS_BY) == 0
        yield leader, standby
    finally:
        for each in beats:
            each.process.kill()
            each.process.wait()


def assert_each_once(sent: list[Sent]) -> None:
    """Only one process sent, and two messages of the same task are an interval apart."""
    assert len({each.pid for each in sent}) == 1
    for task in {each.task for each in sent}:
        times = [each.at for each in sent if each.task == task]
        assert all(later - earlier > SWEEP_EVERY_SECONDS / 2 for earlier, later in pairwise(times)), task


def test_each_task_is_sent_once(environment: dict[str, str], queue: Queue, tmp_path: Path) -> None:
    """As many sweeps as from a single beat; the second one says once that it stands by."""
    with two_beats(environment, queue, tmp_path) as (leader, standby):
        sent = queue.take(WATCHED_SECONDS)
        assert_each_once(sent)
        assert 3 <= sum(each.task == SWEEP for each in sent) <= WATCHED_SECONDS / SWEEP_EVERY_SECONDS + 1
        assert {each.pid for each in sent} == {leader.process.pid}
        assert standby.said(STANDS_BY) == 1


def test_another_takes_over_from_a_dead_one(environment: dict[str, str], queue: Queue, tmp_path: Path) -> None:
    """Within seconds after SIGKILL, and it sends everything, as after a start; nothing waits for the dead one's schedule."""
    with two_beats(environment, queue, tmp_path) as (leader, standby):
        leader.process.kill()
        wait_for(lambda: standby.said(TAKES_OVER) == 1, TAKEOVER_SECONDS)
        sent = queue.take(1)
        assert {each.pid for each in sent} == {standby.process.pid}
        assert {SWEEP, "mastery.refresh", "audit.trim"} <= {each.task for each in sent}
        assert_each_once(sent)


def test_another_takes_over_at_once_from_one_that_ends(environment: dict[str, str], queue: Queue, tmp_path: Path) -> None:
    """A deployment leaves no gap: SIGTERM gives up the lease."""
    with two_beats(environment, queue, tmp_path) as (leader, standby):
        leader.process.terminate()
        assert leader.process.wait(UP_SECONDS) == 0
        wait_for(lambda: standby.said(TAKES_OVER) == 1, LEASE_SECONDS)


def test_one_that_wakes_up_sends_nothing(environment: dict[str, str], queue: Queue, tmp_path: Path) -> None:
    """A beat that was suspended until another has its lease stands by when it continues."""
    with two_beats(environment, queue, tmp_path) as (leader, standby):
        leader.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: standby.said(TAKES_OVER) == 1, TAKEOVER_SECONDS)
        queue.take(1)
        leader.process.send_signal(signal.SIGCONT)
        wait_for(lambda: leader.said(STANDS_BY) == 1, UP_SECONDS)
        sent = queue.take(WATCHED_SECONDS)
        assert {each.pid for each in sent} == {standby.process.pid}
        assert_each_once(sent)
