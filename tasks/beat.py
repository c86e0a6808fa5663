"""Beat's scheduler: it keeps nothing, goes by no clock but its own, and sends nothing of which one waits already.

Celery's keeps in a file when it sent what. A file, or a clock that was put back, from which the last run lies ahead silences
it for as long. Here the schedule begins anew with the process: each task is sent at once, and then when it is due. All of
them are made for being repeated, so what was missed while beat was away is made up for.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import redis
from celery import beat
from kombu.exceptions import OperationalError

from app.outage import Outage
from tasks.delivery import MAINTENANCE

BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)  # when what was never sent was sent last
TRY_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)
_queues = Outage("broker", _log)  # which may answer and take no messages; tasks.connection tells when it does not answer


class Scheduler(beat.Scheduler):
    """Of the ``beat_schedule`` in celeryconfig.py."""

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = BEFORE_ALL

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send a task that is due, if there is one. Returns the seconds until the next."""
        now = self.app.now()
        ahead = [entry for entry in self.schedule.values() if (entry.last_run_at or BEFORE_ALL) > now]
        if ahead:  # the clock was put back
            for entry in ahead:
                entry.last_run_at = now
            self.populate_heap()
        return float(super().tick(*args, **kwargs))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:  # noqa: ARG002 - one that was lost is of no use
        """Send a task, as soon as the broker takes it."""
        failure = self._send(entry)
        while failure is not None:
            self._hang_up()
            time.sleep(TRY_AGAIN_SECONDS)
            failure = self._send(entry)
            if failure is not None:  # over a new connection
                _queues.gone(failure)
        _queues.back()

    def _send(self, entry: Any) -> Exception | None:
        """Send a task, and return None; or why the broker did not take it."""
        try:
            # With no worker about they would pile up. Messages that expire are no way out: whether they have is asked of
            # another machine's clock.
            channel: Any = self.producer.channel
            if entry.task not in channel.waiting(MAINTENANCE):
                self.apply_async(entry, producer=self.producer, advance=False)
        except (OperationalError, redis.RedisError) as error:
            return error
        except beat.SchedulingError as error:
            if isinstance(error.__context__, OperationalError):
                return error.__context__
            _log.error("%s", error)  # this one only, and again when it is due
        return None

    def _hang_up(self) -> None:
        """Begin with a new connection: kombu leaves one that failed half closed."""
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            connection.release()
