"""Tasks for learned models: what they look at, and their training, which runs in a process of its own.

A training takes minutes and 500 MB, so a worker's process only starts it: events go on, and the memory is given back. What it
started ends with it.
"""

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec

from app.audit.entry import WORKER, Channel, SystemAction, entry
from app.clock import day_number
from app.predictions.observe_peers import observe_peers
from tasks.celery import app, engine, enqueue
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

_log = logging.getLogger(__name__)
_trainings: "list[subprocess.Popen[bytes]]" = []  # of this process: none or one


@app.task(name="predictions.observe", ignore_result=True, soft_time_limit=TASK_SECONDS)
def observe() -> None:
    """Observe the cohorts of tenants with a learned model, in slices; beat sends this every hour."""
    observed: Counter[str] = Counter()

    def work() -> Iterator[None]:
        of, today = engine(), day_number(engine().clock())
        for tenant in of.mastery.tenants.all():
            if of.learning.models.promoted(tenant) is not None:
                for students in observe_peers(tenant, sources=of.training.sources, store=of.learning.peers, today=today):
                    observed[tenant] += students
                    yield

    try:
        is_finished = finish_in_slice(work())
    finally:
        for tenant, students in observed.items():
            made = entry(engine().clock(), Channel.TASK, WORKER, SystemAction.OBSERVE_PEERS, details={"students": students})
            engine().audit.append(tenant, made)
    if not is_finished:
        enqueue(observe)


@app.task(name="predictions.train", ignore_result=True, soft_time_limit=TASK_SECONDS)
def train() -> None:
    """Start to train the models that are due, unless this process has begun to; beat sends this every hour."""
    if _is_training() or not due_tenants():
        return
    if find_spec("sklearn") is None:
        _log.info("no models are trained, since scikit-learn is not installed: the extra `training` has it")
        return
    # Its input ends with this process. -P: no modules of the current folder.
    _trainings.append(subprocess.Popen([sys.executable, "-P", "-m", "tasks.train_models"], stdin=subprocess.PIPE))


def due_tenants() -> list[str]:
    """The tenants whose models are to be trained."""
    of, today = engine(), day_number(engine().clock())
    tenants = of.mastery.tenants.all()
    latest = {tenant: of.learning.models.latest_attempt(tenant) for tenant in tenants}
    return [tenant for tenant, found in latest.items() if found is None or found.is_due(today, of.settings.training_days)]


def _is_training() -> bool:
    """Whether the training that this process has started still runs. Logs how another one ended."""
    for ended in [each for each in _trainings if each.poll() is not None]:
        _trainings.remove(ended)
        ended.communicate()  # closes its input
        if ended.returncode:
            _log.error("a training of models ended with code %d; it begins again", ended.returncode)
    return bool(_trainings)
