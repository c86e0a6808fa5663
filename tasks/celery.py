"""The Celery application. Workers, beat, Flower, the API and the bridge all start from it: ``celery -A tasks.celery``."""

import logging
from functools import cache
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, worker_process_init
from kombu.exceptions import OperationalError

from app.bootstrap import Engine, bootstrap
from app.errors import DependencyUnavailable
from app.logs import configure_logging
from app.settings import load_settings

HIDDEN = "(…)"


class DiscreetTask(Task[Any, Any]):
    """A task whose arguments are shown nowhere (logs, Flower, events), even when retried: ids of students are personal data."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]  # passes all on
        options |= {"argsrepr": HIDDEN, "kwargsrepr": HIDDEN}
        return super().apply_async(args, kwargs, **options)


app = Celery("mastery", task_cls=DiscreetTask, include=["tasks.events", "tasks.mastery"])
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
