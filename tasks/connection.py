"""Reconnection to the broker: one attempt per second, and one log line at the begin and at the end of an outage."""

import logging
from typing import Any

import kombu
from celery.app import amqp

from app.outage import Outage

# kombu waits 2, 4, 6 … 30 s between attempts, and Celery has no setting for that: after a long outage, it would take
# up to half a minute to reconnect. An attempt costs the server next to nothing.
ASK_AGAIN_SECONDS = 1.0

broker = Outage("broker", logging.getLogger(__name__))  # shared by all connections of this process


class Connection(kombu.Connection):
    """A connection to the broker. By default (worker, beat, Flower) it retries forever."""

    def _ensure_connection(self, errback: Any = None, max_retries: int | None = None, *args: Any, **options: Any) -> Any:
        """Connect. Without ``max_retries``, retries forever and logs the outage once, instead of calling ``errback``."""
        if max_retries is not None or self.connected:
            return super()._ensure_connection(errback, max_retries, *args, **options)

        def failed(error: Exception, _interval: float) -> None:
            broker.gone(error)

        pace = {"interval_start": ASK_AGAIN_SECONDS, "interval_step": 0, "interval_max": ASK_AGAIN_SECONDS}
        connected = super()._ensure_connection(failed, None, **(options | pace))
        broker.back()
        return connected


class AMQP(amqp.AMQP):
    """Makes Celery use ``Connection``."""

    Connection = Connection
