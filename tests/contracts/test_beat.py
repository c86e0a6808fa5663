"""Beat sends what is due, whatever its clock says, and nothing while the same task is waiting."""

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

from tasks.beat import LEASE_KEY, LONGEST_SLEEP_SECONDS, Scheduler
from tasks.celery import app as engine_app
from tasks.queues import MAINTENANCE

HOUR = timedelta(hours=1)


class Beat:
    """A scheduler on a real broker with two tasks: every five seconds, and in the first minute of each year."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self.prefix = prefix or f"test-{uuid4().hex[:12]}:"
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
        """Send everything that is due."""
        while self.scheduler.tick() <= 0:
            pass

    def waiting(self) -> list[str]:
        """The tasks in the queue, the oldest first."""
        messages: Any = self.redis.lrange(self.prefix + MAINTENANCE, 0, -1)
        return [msgspec.json.decode(each)["headers"]["task"] for each in reversed(messages)]

    def work(self) -> list[str]:
        """Take everything from the queue, like a worker."""
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


@pytest.fixture
def second(beat: Beat, redis_url: str) -> Iterator[Beat]:
    """Another beat of the same engine."""
    made = Beat(redis_url, beat.prefix)
    yield made
    made.close()


def was_sent(beat: Beat, name: str, ago: timedelta) -> None:
    """As if the task had been sent this long ago, by the current clock."""
    beat.scheduler.schedule[name].last_run_at = datetime.now(UTC) - ago
    beat.scheduler.populate_heap()


def test_everything_is_sent_at_the_start(beat: Beat) -> None:
    """Nobody stores the last times, so tasks missed during a downtime are sent at once."""
    beat.tick()
    assert sorted(beat.work()) == ["often", "yearly"]
    beat.tick()
    assert beat.work() == []


def test_a_task_is_sent_again_when_it_is_due(beat: Beat) -> None:
    """Each task has its own schedule."""
    beat.tick()
    beat.work()
    was_sent(beat, "often", timedelta(seconds=6))
    beat.tick()
    assert beat.work() == ["often"]


def test_a_clock_that_is_put_back_does_not_silence_it(beat: Beat) -> None:
    """A time in the future counts as now: the next task is due after its interval, not after an hour."""
    beat.tick()
    beat.work()
    was_sent(beat, "often", -HOUR)
    was_sent(beat, "yearly", -HOUR)
    assert 0 < beat.scheduler.tick() <= 5
    was_sent(beat, "often", timedelta(seconds=6))
    beat.tick()
    assert beat.work() == ["often"]


def test_a_task_that_waits_is_not_sent_again(beat: Beat) -> None:
    """Without a worker the queue does not grow, and nothing in it expires."""
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
    """Malformed messages in the queue are not inspected."""
    for spoilt in (b"", b"\xff", b"[" * 100_000, b"null", b'{"headers": []}'):
        beat.redis.lpush(beat.prefix + MAINTENANCE, spoilt)
    beat.scheduler.tick()
    beat.scheduler.tick()
    beat.redis.ltrim(beat.prefix + MAINTENANCE, 0, 1)
    assert sorted(beat.work()) == ["often", "yearly"]


def test_no_task_of_the_schedule_expires() -> None:
    """Expiry would compare the worker's clock with a time of beat's clock."""
    assert {name: entry.get("options", {}) for name, entry in engine_app.conf.beat_schedule.items()} == {
        name: {} for name in engine_app.conf.beat_schedule
    }


def test_one_of_two_sends(beat: Beat, second: Beat) -> None:
    """The other one stands by, also when tasks are due again."""
    beat.tick()
    assert sorted(beat.work()) == ["often", "yearly"]
    assert second.scheduler.tick() == LONGEST_SLEEP_SECONDS
    was_sent(second, "often", timedelta(seconds=6))
    second.scheduler.tick()
    assert beat.waiting() == []
    was_sent(beat, "often", timedelta(seconds=6))
    beat.tick()
    assert beat.work() == ["often"]


def test_a_beat_that_ends_hands_over(beat: Beat, second: Beat) -> None:
    """The other one takes over with its next tick, and sends everything, as after a start."""
    beat.tick()
    second.scheduler.tick()
    beat.work()
    beat.scheduler.close()
    second.tick()
    assert sorted(beat.work()) == ["often", "yearly"]


def test_a_closed_beat_ends(beat: Beat) -> None:
    """Also if Python ignored the exception of the signal handler that closed it: it neither sends nor takes the lease again."""
    beat.tick()
    beat.work()
    was_sent(beat, "often", timedelta(seconds=6))
    beat.scheduler.close()
    with pytest.raises(SystemExit):
        beat.scheduler.tick()
    assert (beat.waiting(), beat.redis.exists(beat.prefix + LEASE_KEY)) == ([], 0)


def test_a_suspended_beat_sends_nothing_more(beat: Beat, second: Beat, caplog: pytest.LogCaptureFixture) -> None:
    """One that was suspended between its look at the lease and the send: the server refuses the message.

    It stands by then, says so once, and takes over when the other one has ended.
    """
    beat.tick()
    beat.redis.delete(beat.prefix + LEASE_KEY)  # it expired meanwhile
    second.tick()
    beat.work()
    was_sent(beat, "often", timedelta(seconds=6))
    with caplog.at_level("INFO"):
        for _ in range(4):
            beat.scheduler.tick()
        assert beat.waiting() == []
        second.scheduler.close()
        beat.tick()
    assert sorted(beat.work()) == ["often", "yearly"]
    assert [each.message for each in caplog.records if each.name == "tasks.beat"] == [
        "beat stands by: another beat sends the periodic tasks",
        "beat takes over: no other beat sends the periodic tasks any more",
    ]


def test_a_lease_that_redis_lost_is_taken_again(beat: Beat) -> None:
    """After a restart of a Redis that keeps nothing, beat goes on within two ticks."""
    beat.tick()
    beat.work()
    beat.redis.delete(beat.prefix + LEASE_KEY)
    was_sent(beat, "often", timedelta(seconds=6))
    beat.scheduler.tick()
    assert beat.waiting() == []
    beat.tick()
    assert sorted(beat.work()) == ["often", "yearly"]
