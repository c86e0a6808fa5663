"""How a broker that is away is waited for: asked once a second, with a line when it goes and a line when it is back."""

import logging
from typing import Any

import kombu
from celery.app import amqp

from app.outage import Outage

# kombu waits 2, 4, 6 … 30 s between attempts, and Celery has no setting for that: after a long outage nothing would happen for
# half a minute. An attempt costs the server nothing.
ASK_AGAIN_SECONDS = 1.0

broker = Outage("broker", logging.getLogger(__name__))  # as this process meets it, whichever part of it asks


class Connection(kombu.Connection):
    """A connection to the broker; of whoever waits for it as long as it takes (worker, beat, Flower) unless said otherwise."""

    def _ensure_connection(self, errback: Any = None, max_retries: int | None = None, *args: Any, **options: Any) -> Any:
        """Connect. Without ``max_retries`` it is tried for ever; that is said once, and ``errback``, which would say it each
        time, is not called.
        """
        if max_retries is not None or self.connected:
            return super()._ensure_connection(errback, max_retries, *args, **options)

        def failed(error: Exception, _interval: float) -> None:
            broker.gone(error)

        pace = {"interval_start": ASK_AGAIN_SECONDS, "interval_step": 0, "interval_max": ASK_AGAIN_SECONDS}
        connected = super()._ensure_connection(failed, None, **(options | pace))
        broker.back()
        return connected


class AMQP(amqp.AMQP):
    """Has Celery make connections of this kind."""

    Connection = Connection
