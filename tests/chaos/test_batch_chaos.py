"""Whatever dies in the middle of a batch: it ends by itself, with each student once, and with the values of the queries.

Seeds and the number of faults are those of ``test_chaos.py``. ``make chaos`` is the long run: batches of 20,000 students.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.chaos.batch_run import BatchRun
from tests.chaos.broker import LastingBroker
from tests.chaos.cluster import Cluster
from tests.chaos.faults import (
    crash_valkey,
    draw,
    kill_beat,
    kill_everything,
    kill_valkey,
    kill_worker,
    kill_worker_child,
    restart_everything,
)
from tests.chaos.valkey import Fsync

STUDENTS, FEW_STUDENTS, FEW_FAULTS = 20_000, 5_000, 3


def test_a_batch_survives_what_runs_it(
    tmp_path: Path, lasting_broker: LastingBroker, seed: int, tell: Callable[[str], None]
) -> None:
    """Workers, their children and Valkey are killed while a batch runs; in the long run also the machine crashes."""
    given = os.environ.get("CHAOS_FAULTS")
    certain = (kill_worker, kill_worker_child, kill_valkey)
    others = (crash_valkey, kill_everything, kill_beat, restart_everything)
    faults = draw(certain, others, int(given or FEW_FAULTS), Random(seed))
    with (
        Cluster(tmp_path / "cluster", lasting_broker, Fsync.EVERYSEC) as cluster,
        BatchRun(cluster, faults, students=STUDENTS if given else FEW_STUDENTS, seed=seed, tell=tell) as batches,
    ):
        batches.conduct()
