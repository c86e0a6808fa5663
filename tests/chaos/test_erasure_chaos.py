"""Whatever dies during an erasure: an erased student stays erased, also when Redis comes back empty and Kafka is read anew.

Seeds and the number of faults are those of ``test_chaos.py``.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.chaos.broker import LastingBroker
from tests.chaos.cluster import Cluster
from tests.chaos.erasure_run import ErasureRun
from tests.chaos.faults import (
    crash_valkey,
    draw,
    kill_beat,
    kill_bridge,
    kill_everything,
    kill_valkey,
    kill_worker,
    kill_worker_child,
    rebalance,
    restart_everything,
)
from tests.chaos.valkey import Fsync

FEW_FAULTS = 3


def test_an_erased_student_stays_erased(
    tmp_path: Path, lasting_broker: LastingBroker, seed: int, tell: Callable[[str], None]
) -> None:
    """Events arrive again around each fault, and all of them in the end; nobody else loses or gains one."""
    certain = (kill_worker, kill_bridge, kill_valkey)
    others = (crash_valkey, rebalance, kill_worker_child, kill_everything, kill_beat, restart_everything)
    faults = draw(certain, others, int(os.environ.get("CHAOS_FAULTS") or FEW_FAULTS), Random(seed))
    with (
        Cluster(tmp_path / "cluster", lasting_broker, Fsync.EVERYSEC) as cluster,
        ErasureRun(cluster, faults, seed=seed, tell=tell) as run,
    ):
        run.conduct()
