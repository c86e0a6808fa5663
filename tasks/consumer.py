"""The part of a worker that takes messages, for one whose broker goes and comes back; ``celeryconfig.py`` names it.

What it has in hand when the connection is lost it takes up again with the next one. Celery and kombu leave it in Redis, where
nobody looks for it until the visibility timeout, and acknowledge over the connection that is lost what is done afterwards.
"""

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

from celery.exceptions import CPendingDeprecationWarning, NotRegistered
from celery.worker import consumer as celery_consumer
from celery.worker.state import active_requests
from kombu.utils.json import dumps

from app.outage import Outage
from tasks.connection import ASK_AGAIN_SECONDS
from tasks.transport import QoS, set_aside

# How long task events wait for each other. Sent one by one, three for each chunk, they took 4 % of the pipeline's CPU time, in
# the worker's main process and in Flower. A person who looks at Flower does not see the difference.
EVENTS_SECONDS = 0.2

_log = logging.getLogger(__name__)


class Consumer(celery_consumer.Consumer):
    """One for a worker's whole life; it begins again with each connection."""

    # What the type stubs of Celery lack.
    task_consumer: Any
    connection_errors: tuple[type[Exception], ...]
    hub: Any
    _flush_events: Callable[[], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._in_hand: dict[str, Any] = {}  # messages of connections that were lost, by tag
        self._is_ready = True
        self._is_flush_due = False  # whether task events are sent within EVENTS_SECONDS
        self._queues = Outage("broker", _log)  # which may answer and take no messages; see also tasks/connection.py
        self._unsaved: set[str] = set()  # tags of those that are in hand here only
        self._done: set[str] = set()  # tags of those that are done, which Redis is to be told
        # Neither gossip nor mingling: they would tell this worker what others do, which it has no use for, and hold up each
        # connection by a second.
        super().__init__(*args, **kwargs, without_gossip=True, without_mingle=True)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Keep what is in hand, then close the connection."""
        if self.task_consumer and self.task_consumer.channel:
            qos: QoS = self.task_consumer.channel.qos
            self._in_hand |= qos._delivered
            self._unsaved |= qos.unsaved
            self._done |= qos.untold
            for tag in qos._dirty - qos.untold:
                self._in_hand.pop(tag, None)
            qos._delivered.clear()
        with warnings.catch_warnings(action="ignore", category=CPendingDeprecationWarning):  # about a setting that is as it is
            super().on_connection_error_after_connected(exc)
        self._pause_unless_ready(exc)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """In place of a line for each attempt, some hundred a second where the broker answers that it takes no writes."""
        self._pause_unless_ready(exc)

    def on_ready(self) -> None:
        """Called when messages of a new connection are about to be taken."""
        super().on_ready()
        self._take_up()
        self._is_flush_due = False  # timers end with their connection
        self._is_ready = True
        self._queues.back()

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # what it returns is never looked at
        """Called when a task event is to be sent. Celery would send it at once."""
        if self.hub and not self._is_flush_due:
            self._is_flush_due = True
            self.hub.call_later(EVENTS_SECONDS, self._send_events)

    def _send_events(self) -> None:
        self._is_flush_due = False
        self._flush_events()

    def _pause_unless_ready(self, exc: Exception) -> None:
        """Wait a second with the next connection where the last one was of no use."""
        if not self._is_ready:
            self._queues.gone(exc)
            time.sleep(ASK_AGAIN_SECONDS)
        self._is_ready = False

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """What takes a message: one that cannot be taken is set aside, and does not stop the others."""
        take = super().create_task_handler(*args, **kwargs)

        def take_or_set_aside(message: Any) -> None:
            try:
                take(message)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                self._set_aside(message, f"cannot be taken: {type(error).__name__}")

        return take_or_set_aside

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery's signature
        """A task that this worker does not have, perhaps of another version. Whoever waits for it is told that it failed."""
        task_id, name = message.headers["id"], message.headers["task"]
        self._set_aside(message, "is of a task that this worker does not know")
        self.app.backend.mark_as_failure(task_id, NotRegistered(name))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """A message that is no call of its task."""
        self._set_aside(message, f"is no call of its task: {type(exc).__name__}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A message whose body cannot be read."""
        self._set_aside(message, f"cannot be read: {type(exc).__name__}")

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002
        """A message that is not of a task."""
        self._set_aside(message, "is of no task")

    def _set_aside(self, message: Any, reason: str) -> None:
        """In place of what Celery does: it would log the whole of it, personal data too, and drop it."""
        set_aside(message.delivery_info.get("routing_key", ""), dumps(message._raw).encode(), reason)
        if not message.acknowledged:
            message.reject_log_error(_log, self.connection_errors)

    def _take_up(self) -> None:
        """What is done is struck off, what is being done is acknowledged here, and the rest goes back to its queue."""
        qos: QoS = self.task_consumer.channel.qos
        qos.untold |= self._done
        qos.tell()
        for tag in self._done:
            self._in_hand.pop(tag, None)
        self._done.clear()
        active = {each.message.delivery_tag for each in active_requests}
        while self._in_hand:
            tag, message = next(iter(self._in_hand.items()))
            message.channel = qos.channel  # whatever comes of it, it is said over this connection
            if tag in active:
                qos._delivered[tag] = message
            else:
                qos.put_back(tag, message, is_saved=tag not in self._unsaved)
            del self._in_hand[tag]
        self._unsaved.clear()
