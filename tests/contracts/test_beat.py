"""Beat sends what is due, whatever its clock says, and nothing of which one waits already."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis
from celery import Celery
from celery.schedules import crontab
from kombu import Queue

from tasks.beat import Scheduler
from tasks.celery import app as engine_app
from tasks.delivery import MAINTENANCE

HOUR = timedelta(hours=1)


class Beat:
    """A scheduler on a real broker, with two tasks: one every five seconds, one at the first minute of each year."""

    def __init__(self, url: str) -> None:
        self.prefix = f"test-{uuid4().hex[:12]}:"
        app = Celery("test", broker=url, amqp="tasks.connection:AMQP", set_as_current=False)
        app.conf.update(
            task_queues=[Queue(MAINTENANCE)],
            task_default_queue=MAINTENANCE,
            broker_transport_options={"global_keyprefix": self.prefix},
            enable_utc=True,
            beat_schedule={
                "often": {"task": "often", "schedule": 5.0},
                "yearly": {"task": "yearly", "schedule": crontab(minute=0, hour=0, day_of_month=1, month_of_year=1)},
            },
        )
        self.scheduler = Scheduler(app)
        self.redis = redis.Redis.from_url(url)

    def tick(self) -> None:
        """Let it send all that is due."""
        while self.scheduler.tick() <= 0:
            pass

    def waiting(self) -> list[str]:
        """The tasks in the queue, the first one sent first."""
        messages: Any = self.redis.lrange(self.prefix + MAINTENANCE, 0, -1)
        return [msgspec.json.decode(each)["headers"]["task"] for each in reversed(messages)]

    def work(self) -> list[str]:
        """Take all from the queue, as a worker does."""
        taken = self.waiting()
        self.redis.delete(self.prefix + MAINTENANCE)
        return taken

    def close(self) -> None:
        self.scheduler.close()
        self.redis.close()


@pytest.fixture
def beat(redis_url: str) -> Iterator[Beat]:
    assert engine_app  # whose module names the transport
    made = Beat(redis_url)
    yield made
    made.close()


def was_sent(beat: Beat, name: str, ago: timedelta) -> None:
    """As if it had been sent so long ago, by the clock as it is now."""
    beat.scheduler.schedule[name].last_run_at = datetime.now(UTC) - ago
    beat.scheduler.populate_heap()


def test_everything_is_sent_at_the_start(beat: Beat) -> None:
    """What was missed while it was away is made up for: nobody remembers when it was sent last."""
    beat.tick()
    assert sorted(beat.work()) == ["often", "yearly"]
    beat.tick()
    assert beat.work() == []


def test_a_task_is_sent_again_when_it_is_due(beat: Beat) -> None:
    """Each by its own schedule."""
    beat.tick()
    beat.work()
    was_sent(beat, "often", timedelta(seconds=6))
    beat.tick()
    assert beat.work() == ["often"]


def test_a_clock_that_is_put_back_does_not_silence_it(beat: Beat) -> None:
    """What was sent in the future counts as sent now: the next is due after its interval, not after an hour."""
    beat.tick()
    beat.work()
    was_sent(beat, "often", -HOUR)
    was_sent(beat, "yearly", -HOUR)
    assert 0 < beat.scheduler.tick() <= 5
    was_sent(beat, "often", timedelta(seconds=6))
    beat.tick()
    assert beat.work() == ["often"]


def test_a_task_that_waits_is_not_sent_again(beat: Beat) -> None:
    """With no worker about, the queue does not grow, and nothing in it expires by anybody's clock."""
    beat.tick()
    for _ in range(3):
        was_sent(beat, "often", timedelta(seconds=6))
        beat.tick()
    assert sorted(beat.waiting()) == ["often", "yearly"]
    beat.work()
    was_sent(beat, "often", timedelta(seconds=6))
    beat.tick()
    assert beat.work() == ["often"]


def test_a_queue_of_anything_does_not_stop_it(beat: Beat) -> None:
    """What is no message is not looked into."""
    for spoilt in (b"", b"\xff", b"[" * 100_000, b"null", b'{"headers": []}'):
        beat.redis.lpush(beat.prefix + MAINTENANCE, spoilt)
    beat.scheduler.tick()
    beat.scheduler.tick()
    beat.redis.ltrim(beat.prefix + MAINTENANCE, 0, 1)
    assert sorted(beat.work()) == ["often", "yearly"]


def test_no_task_of_the_schedule_expires() -> None:
    """Whether it has would be asked of the worker's clock about a time by beat's."""
    assert {name: entry.get("options", {}) for name, entry in engine_app.conf.beat_schedule.items()} == {
        name: {} for name in engine_app.conf.beat_schedule
    }
