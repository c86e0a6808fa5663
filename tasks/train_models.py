"""``python -m tasks.train_models``: trains the models that are due, one after another. The task in ``models.py`` starts it."""

import logging
import os
import random
import signal
import sys
import threading

from app.audit.entry import WORKER, AuditOutcome, Channel, SystemAction, entry
from app.bootstrap import Engine
from app.config.settings import load_settings
from app.logs import configure_logging, frames
from app.predictions.train_tenant_model import TooLittleToLearn, TrainingRuns, train_tenant_model
from tasks.celery import engine
from tasks.models import due_tenants
from tasks.timing import TRAINING_SECONDS

NICENESS = 10  # gives way to whatever answers callers and records events
_log = logging.getLogger(__name__)


def main() -> None:
    """Train until all is done, standard input ends, or one training takes more than ``TRAINING_SECONDS``."""
    configure_logging(load_settings().log_level)
    os.nice(NICENESS)
    threading.Thread(target=_end_with_input, daemon=True).start()
    tenants = due_tenants()
    random.shuffle(tenants)  # so that one which fails does not always come before the same others
    for tenant in tenants:
        signal.alarm(TRAINING_SECONDS)  # ends the process
        try:
            _train(engine(), tenant)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a training; messages may quote data
            _log.error("a training failed: %s", frames(error))


def _train(of: Engine, tenant: str) -> None:
    """Train one tenant's model, with its entry in the audit trail."""
    details: dict[str, str | int | bool]
    try:
        trained = train_tenant_model(tenant, using=of.training, now=of.clock())
    except TrainingRuns:
        return
    except TooLittleToLearn as reason:
        _log.info("no model was trained: %s", reason)
        details = {"trained": False}
    else:
        details = {"trained": True, "version": trained.version, "students": trained.students}
    made = entry(of.clock(), Channel.TASK, WORKER, SystemAction.TRAIN_MODEL, outcome=AuditOutcome.DONE, details=details)
    of.audit.append(tenant, made)


def _end_with_input() -> None:
    """End this process when its input does: the worker that started it has ended."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
