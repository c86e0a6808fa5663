"""Beat's scheduler: without a state file, robust against clock changes, and without duplicates of waiting tasks.

Celery's scheduler stores the last runs in a file. A last run in the future, after a clock was set back, stops it until then.
This scheduler starts anew with the process: it sends each task at once, and then when it is due. All tasks are idempotent, so
this also makes up for runs missed while beat was down.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import redis
from celery import beat
from kombu.exceptions import OperationalError

from app.outage import Outage
from tasks.queues import MAINTENANCE

BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)  # last run of a task that was never sent
TRY_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)
_queues = Outage("broker", _log)  # it answers but rejects messages; tasks.connection logs lost connections


class Scheduler(beat.Scheduler):
    """Runs the ``beat_schedule`` of celeryconfig.py."""

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = BEFORE_ALL

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send a due task, if there is one. Returns the seconds until the next one."""
        now = self.app.now()
        ahead = [entry for entry in self.schedule.values() if (entry.last_run_at or BEFORE_ALL) > now]
        if ahead:  # the clock was set back
            for entry in ahead:
                entry.last_run_at = now
            self.populate_heap()
        return float(super().tick(*args, **kwargs))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:  # noqa: ARG002 - may have a lost connection
        """Send a task; retries until the broker accepts it."""
        failure = self._send(entry)
        while failure is not None:
            self._disconnect()
            time.sleep(TRY_AGAIN_SECONDS)
            failure = self._send(entry)
            if failure is not None:  # over a new connection
                _queues.gone(failure)
        _queues.back()

    def _send(self, entry: Any) -> Exception | None:
        """Send a task, unless one waits already. Returns the broker's error, if any."""
        try:
            # Without workers, tasks would pile up. Expiring messages are no solution, since the workers' clocks may differ.
            channel: Any = self.producer.channel
            if entry.task not in channel.waiting(MAINTENANCE):
                self.apply_async(entry, producer=self.producer, advance=False)
        except (OperationalError, redis.RedisError) as error:
            return error
        except beat.SchedulingError as error:
            if isinstance(error.__context__, OperationalError):
                return error.__context__
            _log.error("%s", error)  # skip this run; the task is sent again when it is due
        return None

    def _disconnect(self) -> None:
        """Discard the connection, since kombu leaves a failed one half closed."""
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            connection.release()
