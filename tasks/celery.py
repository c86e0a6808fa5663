"""The Celery application. Workers, beat, Flower, the API and the bridge all start from it: ``celery -A tasks.celery``."""

import logging
import sys
import time
from functools import cache
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject, SoftTimeLimitExceeded, TaskPredicate
from celery.signals import beat_init, celeryd_init, setup_logging, worker_process_init
from kombu.transport import TRANSPORT_ALIASES

from app.bootstrap import Engine, bootstrap
from app.clock import system_clock
from app.config.settings import load_settings
from app.errors import DependencyUnavailable, EngineError, UnexpectedFailure
from app.garbage_collection import collect_rarely
from app.logs import configure_logging, frames
from tasks.broker_errors import translated_broker_errors
from tasks.timing import MAX_RETRY_SECONDS, PAUSE, PUBLISHED

HIDDEN = "(…)"
REQUEUE_SECONDS = 0.5
_log = logging.getLogger(__name__)


class EngineTask(Task[Any, Any]):
    """A task that retries outages, and hides its arguments and result (personal data) from logs, Flower and events.

    Decorators of tasks set only what differs from this.
    """

    abstract = True
    autoretry_for = (DependencyUnavailable,)
    max_retries = 10  # some minutes
    retry_backoff = True  # a random part (retry_jitter, Celery's default) of 1 s, 2 s, 4 s, …
    retry_backoff_max = MAX_RETRY_SECONDS
    Request = "tasks.request:Request"
    resultrepr_maxsize = 1  # truncates the result in task events to a bracket

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]  # passes all on
        options |= {"argsrepr": HIDDEN, "kwargsrepr": HIDDEN}
        headers = {**(options.get("headers") or {}), PUBLISHED: system_clock().timestamp()}  # read by tasks/backlog.py
        if (countdown := options.get("countdown")) is not None:
            headers[PAUSE] = countdown  # read by tasks/request.py
        options["headers"] = headers
        return super().apply_async(args, kwargs, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task. Replaces unexpected errors: their messages may quote arguments, and would reach logs and Flower.

        Returns:
            The task's result.

        Raises:
            EngineError: The task raised it.
            TaskPredicate: The task is retried, rejected or ignored.
            SoftTimeLimitExceeded: The task ran too long.
            UnexpectedFailure: The task raised any other error.
        """
        try:
            return super().__call__(*args, **kwargs)
        except (EngineError, TaskPredicate, SoftTimeLimitExceeded):
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge of a task
            _log.error("%s: %s", self.name, frames(error))
            raise UnexpectedFailure(f"{type(error).__name__}; the worker's log has the cause") from None

    def retry(self, *args: Any, **options: Any) -> Any:
        """Queue a retry. Waits until the broker accepts it; Celery would drop the task."""
        is_logged = False
        while True:
            try:
                return super().retry(*args, **options)
            except Reject as error:
                if not is_logged:
                    _log.warning("a task cannot be queued again yet: %s", error.args[0])
                is_logged = True
                time.sleep(REQUEUE_SECONDS)


# By name, since the module imports this one; kombu loads it with the first connection.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.transport:Transport"))
app = Celery(
    "mastery",
    task_cls=EngineTask,
    amqp="tasks.connection:AMQP",
    include=[
        "tasks.analytics",
        "tasks.audit",
        "tasks.batches",
        "tasks.callbacks",
        "tasks.events",
        "tasks.mastery",
        "tasks.models",
        "tasks.predictions",
        "tasks.privacy",
    ],
)
app.config_from_object("celeryconfig")


@cache
def engine() -> Engine:
    """This process's engine, created on first use."""
    return bootstrap()


@worker_process_init.connect
def _start_child(**_: Any) -> None:
    """Drop the engine, since a forked child must not share its parent's connections."""
    engine.cache_clear()
    collect_rarely()


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    configure_logging(load_settings().log_level)


@celeryd_init.connect
@beat_init.connect
def _require_broker(**_: Any) -> None:
    """Exit if no broker is set; Celery would try RabbitMQ."""
    if not load_settings().broker:
        sys.exit("MASTERY_REDIS_URL is not set; `mastery up` starts a stack with an embedded one")


def enqueue(task: Task[Any, Any], *args: Any, **options: Any) -> Any:
    """Send a task to its queue, and return its AsyncResult. Raises DependencyUnavailable; it may be queued nevertheless."""
    with translated_broker_errors():
        return task.apply_async(args=args, **options)


logging.captureWarnings(True)
