"""``python -m tasks.train_models``: trains the models that are due, one after another. The task in ``models.py`` starts it."""

import logging
import os
import random
import signal
import sys
import threading
from types import FrameType

from app.audit.entry import WORKER, AuditOutcome, Channel, SystemAction, entry
from app.bootstrap import Engine
from app.config.settings import load_settings
from app.logs import configure_logging, frames
from app.predictions.train_tenant_model import TookTooLong, TooLittleToLearn, train_tenant_model
from app.predictions.training_lease import LEASE_SECONDS, TrainingRuns, prolong
from app.storage.lease import Lease
from tasks.celery import engine
from tasks.models import due_tenants
from tasks.timing import ENDING_SECONDS, TRAINING_SECONDS

NICENESS = 10  # gives way to whatever answers callers and records events
_log = logging.getLogger(__name__)


def main() -> None:
    """Train until all is done or standard input ends; each tenant's model for at most ``TRAINING_SECONDS``."""
    configure_logging(load_settings().log_level)
    os.nice(NICENESS)
    threading.Thread(target=_end_with_input, daemon=True).start()
    turn = engine().learning.models.deployment_lease()
    if not turn.hold(0):
        _log.info("another process trains models")
        return
    try:
        _train_due(engine(), turn)
    finally:
        turn.release()


def _train_due(of: Engine, turn: Lease) -> None:
    tenants = due_tenants()
    random.shuffle(tenants)  # so that one which is killed does not always come before the same others
    for tenant in tenants:
        if not turn.prolong(LEASE_SECONDS / 2):
            _log.error("the training of models ends: another process trains too")
            return
        signal.signal(signal.SIGALRM, _end_training)
        signal.alarm(TRAINING_SECONDS)
        try:
            _train(of, tenant, turn)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a training; messages may quote data
            _log.error("the audit trail of %s has no entry of a training: %s", tenant, frames(error))
        finally:
            signal.alarm(0)


def _end_training(_signal: int, _frame: FrameType | None) -> None:
    """End a training that takes too long; kill the process if that does not help.

    Raises:
        TookTooLong: Always.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(ENDING_SECONDS)
    raise TookTooLong


def _train(of: Engine, tenant: str, turn: Lease) -> None:
    """Train one tenant's model, with its entry in the audit trail."""
    outcome = AuditOutcome.DONE
    details: dict[str, str | int | bool] = {"trained": False}
    try:
        trained = train_tenant_model(
            tenant,
            using=of.training,
            now=of.clock(),
            on_step=lambda _done, _of: prolong(turn, tenant),
            pause_days=of.settings.training_days,
        )
    except TrainingRuns as reason:
        _log.info("no model was trained: %s", reason)
        return
    except TooLittleToLearn as reason:
        _log.info("no model of %s was trained: %s", tenant, reason)
    except Exception as error:  # noqa: BLE001 - whatever it was, the entry says that it failed; messages may quote data
        _log.error("the training of a model of %s failed: %s", tenant, frames(error))
        outcome = AuditOutcome.FAILED
    else:
        details = {"trained": True, "version": trained.version, "students": trained.students}
    made = entry(of.clock(), Channel.TASK, WORKER, SystemAction.TRAIN_MODEL, outcome=outcome, details=details)
    of.audit.append(tenant, made)


def _end_with_input() -> None:
    """End this process when its input does: the worker that started it has ended."""
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read, whose lock would abort the process when it ends by itself
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
