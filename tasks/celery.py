"""The Celery application. Workers, beat, Flower, the API and the bridge all start from it: ``celery -A tasks.celery``."""

import logging
import time
from functools import cache
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject
from celery.signals import setup_logging, worker_process_init
from kombu.exceptions import OperationalError

from app.bootstrap import Engine, bootstrap
from app.errors import DependencyUnavailable
from app.logs import configure_logging
from app.settings import load_settings

HIDDEN = "(…)"
REQUEUE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class EngineTask(Task[Any, Any]):
    """A task that is not lost, and whose arguments and result, personal data, are shown nowhere (logs, Flower, events)."""

    abstract = True
    resultrepr_maxsize = 1  # of what events tell of a result, nothing is left but a bracket

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]  # passes all on
        options |= {"argsrepr": HIDDEN, "kwargsrepr": HIDDEN}
        return super().apply_async(args, kwargs, **options)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Celery drops a task whose retry cannot be queued; here it waits until the broker takes it."""
        while True:
            try:
                return super().retry(*args, **options)
            except Reject as error:
                _log.warning("a task cannot be queued again yet: %s", error)
                time.sleep(REQUEUE_SECONDS)


app = Celery("mastery", task_cls=EngineTask, include=["tasks.audit", "tasks.events", "tasks.mastery"])
app.config_from_object("celeryconfig")


@cache
def engine() -> Engine:
    """This process's engine, made when first asked for."""
    return bootstrap()


@worker_process_init.connect
def _engine_of_its_own(**_: Any) -> None:
    """A forked child must not share its parent's connections."""
    engine.cache_clear()


@setup_logging.connect
def _own_logging(**_: Any) -> None:
    configure_logging(load_settings().log_level)


def enqueue(task: Task[Any, Any], *args: Any, **options: Any) -> Any:
    """Send a task to its queue. Returns its AsyncResult.

    Raises DependencyUnavailable when the broker does not take it; it may have been queued all the same.
    """
    try:
        return task.apply_async(args=args, **options)
    except OperationalError as error:
        raise DependencyUnavailable("broker") from error


logging.captureWarnings(True)
