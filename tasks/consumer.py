"""The worker's consumer, set in ``celeryconfig.py``. It survives outages of the broker without losing or delaying messages.

After a reconnection it resumes its unacknowledged messages. Celery and kombu would leave them in Redis until the visibility
timeout, and acknowledge tasks that finish later over the lost connection.
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

# How long task events are buffered. Sent singly, three per chunk, they took 4 % of the pipeline's CPU time, in the worker's
# main process and in Flower. The delay is not noticeable in Flower.
EVENTS_SECONDS = 0.2

_log = logging.getLogger(__name__)


class Consumer(celery_consumer.Consumer):
    """Lives as long as the worker, and restarts with each connection."""

    # What the type stubs of Celery lack.
    task_consumer: Any
    connection_errors: tuple[type[Exception], ...]
    hub: Any
    _flush_events: Callable[[], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._in_hand: dict[str, Any] = {}  # unacknowledged messages of lost connections, by tag
        self._is_ready = True
        self._is_flush_due = False  # whether task events are sent within EVENTS_SECONDS
        self._queues = Outage("broker", _log)  # it answers but rejects messages; see also tasks/connection.py
        self._unsaved: set[str] = set()  # tags of messages that only this process has
        self._done: set[str] = set()  # tags of finished messages whose acknowledgement has not reached Redis
        # Gossip and mingle exchange the state of workers, which is not used here, and delay each connection by a second.
        super().__init__(*args, **kwargs, without_gossip=True, without_mingle=True)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Save the unacknowledged messages, then close the connection."""
        if self.task_consumer and self.task_consumer.channel:
            qos: QoS = self.task_consumer.channel.qos
            self._in_hand |= qos._delivered
            self._unsaved |= qos.unsaved
            self._done |= qos.unreported
            for tag in qos._dirty - qos.unreported:
                self._in_hand.pop(tag, None)
            qos._delivered.clear()
        with warnings.catch_warnings(action="ignore", category=CPendingDeprecationWarning):  # about an unused setting
            super().on_connection_error_after_connected(exc)
        self._pause_unless_ready(exc)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Pause, and log the outage once: a broker that rejects writes would cause hundreds of attempts a second."""
        self._pause_unless_ready(exc)

    def on_ready(self) -> None:
        """Called before messages of a new connection are received."""
        super().on_ready()
        self._resume()
        self._is_flush_due = False  # timers end with their connection
        self._is_ready = True
        self._queues.back()

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the return value is not used
        """Called for each buffered task event; schedules a flush. Celery would flush at once."""
        if self.hub and not self._is_flush_due:
            self._is_flush_due = True
            self.hub.call_later(EVENTS_SECONDS, self._send_events)

    def _send_events(self) -> None:
        self._is_flush_due = False
        self._flush_events()

    def _pause_unless_ready(self, exc: Exception) -> None:
        """Wait a second before the next connection if the last one failed before it was ready."""
        if not self._is_ready:
            self._queues.gone(exc)
            time.sleep(ASK_AGAIN_SECONDS)
        self._is_ready = False

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """The handler of received messages. It sets aside a message that raises an error, so that others are processed."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_set_aside(message: Any) -> None:
            try:
                handle(message)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                self._set_aside(message, f"cannot be taken: {type(error).__name__}")

        return handle_or_set_aside

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery's signature
        """Set aside an unknown task, perhaps of another version, and mark it as failed for its caller."""
        task_id, name = message.headers["id"], message.headers["task"]
        self._set_aside(message, "is of a task that this worker does not know")
        self.app.backend.mark_as_failure(task_id, NotRegistered(name))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Set aside a message with invalid arguments."""
        self._set_aside(message, f"is no call of its task: {type(exc).__name__}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Set aside a message whose body cannot be decoded."""
        self._set_aside(message, f"cannot be read: {type(exc).__name__}")

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002
        """Set aside a message that is not a task."""
        self._set_aside(message, "is of no task")

    def _set_aside(self, message: Any, reason: str) -> None:
        """Set aside a message and reject it. Celery would log it with personal data, and drop it."""
        set_aside(message.delivery_info.get("routing_key", ""), dumps(message._raw).encode(), reason)
        if not message.acknowledged:
            message.reject_log_error(_log, self.connection_errors)

    def _resume(self) -> None:
        """Resume messages of lost connections: remove finished ones, adopt running ones, requeue the others."""
        qos: QoS = self.task_consumer.channel.qos
        qos.unreported |= self._done
        qos.report()
        for tag in self._done:
            self._in_hand.pop(tag, None)
        self._done.clear()
        active = {each.message.delivery_tag for each in active_requests}
        while self._in_hand:
            tag, message = next(iter(self._in_hand.items()))
            message.channel = qos.channel  # acknowledge over this connection
            if tag in active:
                qos._delivered[tag] = message
            else:
                qos.put_back(tag, message, is_saved=tag not in self._unsaved)
            del self._in_hand[tag]
        self._unsaved.clear()
