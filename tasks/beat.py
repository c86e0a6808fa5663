"""Beat's scheduler: one of several sends, without a state file, robust against clock changes, no duplicates of waiting tasks.

Celery's scheduler stores the last runs in a file. A last run in the future, after a clock was set back, stops it until then.
This scheduler starts anew with the process: it sends each task at once, and then when it is due. All tasks are idempotent, so
this also makes up for runs missed while beat was down.

Of several beats, the one that holds a lease in the broker's Redis sends; the others stand by. See docs/decisions/0025.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import redis
from celery import beat
from kombu.exceptions import OperationalError

from app.outage import Outage
from app.storage.lease import Lease
from tasks.connection import broker
from tasks.queues import MAINTENANCE
from tasks.transport import Fence, NotLeased

BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)  # last run of a task that was never sent
TRY_AGAIN_SECONDS = 1.0
LEASE_KEY = "beat"  # under the prefix of Celery's keys
# Another beat takes over this long after the leader died, and up to a second more. Longer than a short stall of Redis.
LEASE_SECONDS = 5.0
# The lease is prolonged when less is left. More than a second, the longest sleep between two ticks.
ENOUGH_SECONDS = 3.0
LONGEST_SLEEP_SECONDS = 1.0

_log = logging.getLogger(__name__)
_queues = Outage("broker", _log)  # it answers but rejects messages; tasks.connection logs lost connections


class Scheduler(beat.Scheduler):
    """Runs the ``beat_schedule`` of celeryconfig.py while it holds the lease."""

    _is_closed = False
    _lease: Lease | None = None
    _leads = False
    _stands_by = False

    def setup_schedule(self) -> None:
        super().setup_schedule()
        self._forget_runs()

    def _forget_runs(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = BEFORE_ALL

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send a due task, if there is one and this beat leads.

        Returns:
            The seconds until the next tick.

        Raises:
            SystemExit: This beat is closed. Celery's handler of SIGTERM closes it and raises this too, but Python ignores an
                exception if the signal came while it ran a ``__del__``, such as that of a result.
        """
        if self._is_closed:
            raise SystemExit
        if not self._hold_lease():
            return LONGEST_SLEEP_SECONDS
        now = self.app.now()
        ahead = [entry for entry in self.schedule.values() if (entry.last_run_at or BEFORE_ALL) > now]
        if ahead:  # the clock was set back
            for entry in ahead:
                entry.last_run_at = now
            self.populate_heap()
        return min(float(super().tick(*args, **kwargs)), LONGEST_SLEEP_SECONDS)

    def close(self) -> None:
        """End with the next tick at the latest, and give up the lease, so that another beat takes over at once."""
        self._is_closed = True
        self._give_up()
        super().close()

    def _give_up(self) -> None:
        self._leads = False
        if self._lease is not None:
            try:
                self._lease.release()
            except redis.RedisError as error:
                _log.debug("the lease will expire: %s", error)

    def _hold_lease(self) -> bool:
        """Take or prolong the lease. Returns whether this beat leads. One that begins to lead sends everything at once."""
        try:
            if self._lease is None:
                self._lease = self._new_lease()
            leads = self._lease.hold(ENOUGH_SECONDS)
        except (OperationalError, redis.RedisError) as error:
            broker.gone(error, "lease")
            return False
        broker.back("lease")
        if leads and not self._leads:
            self._forget_runs()
            self.populate_heap()
        self._leads = leads
        self._log_role(leads=leads)
        return leads

    def _new_lease(self) -> Lease:
        """A lease with a connection of its own, which reconnects by itself; ``_disconnect`` discards that of the producer."""
        self._lease_connection = self.app.connection_for_write()
        channel: Any = self._lease_connection.default_channel
        return Lease(channel.client, LEASE_KEY, LEASE_SECONDS)

    def _log_role(self, *, leads: bool) -> None:
        """Log when this beat begins to stand by, and when it takes over."""
        if leads and self._stands_by:
            _log.warning("beat takes over: no other beat sends the periodic tasks any more")
        if not leads and not self._stands_by:
            _log.info("beat stands by: another beat sends the periodic tasks")
        self._stands_by = not leads

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
                channel.fence = self._fence()
                self.apply_async(entry, producer=self.producer, advance=False)
        except (OperationalError, redis.RedisError) as error:
            return error
        except beat.SchedulingError as error:
            if isinstance(error.__context__, OperationalError):
                return error.__context__
            if isinstance(error.__context__, NotLeased):  # this process was suspended, or Redis lost the lease
                self._give_up()
                return None
            _log.error("%s", error)  # skip this run; the task is sent again when it is due
        return None

    def _fence(self) -> Fence:
        """The lease without which the server refuses a message."""
        return Fence(LEASE_KEY, (self._lease.token if self._lease is not None else None) or b"")

    def _disconnect(self) -> None:
        """Discard the connection, since kombu leaves a failed one half closed."""
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            connection.release()
