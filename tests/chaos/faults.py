"""Faults. Each is applied to a running cluster, leaves it running again, and returns what it did.

A killed part is restarted at once or a moment later, as by a supervisor; until then the others run without it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import TypeAlias

import psutil

from tests.chaos.cluster import Cluster
from tests.chaos.process import Part

Fault: TypeAlias = Callable[[Cluster, Random], str]

SUPERVISOR_SECONDS = 1.5  # systemd waits 0.1 s before it restarts a service, a container runtime a little longer
# How late a sync may be under `everysec`: Valkey delays writes when one second has become two.
LATE_SECONDS = 1.5
IDLE_SECONDS = 12.0  # the session timeout of ten seconds, for a bridge that an earlier fault killed
FORK_SECONDS = 5.0  # after which a worker that was just started has children
TOGETHER_SECONDS = 4.0  # during which two bridges work side by side; a rebalance takes about one


def kill_worker(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of a worker's main process, with the tasks that it has prefetched."""
    return _kill_and_start(cluster.worker, rng)


def kill_worker_child(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of one of a worker's child processes, like the OOM killer."""
    deadline = time.monotonic() + FORK_SECONDS
    while not (children := cluster.worker.children()) and time.monotonic() < deadline:
        time.sleep(0.02)
    if not children:
        return "the worker has no child"
    child = rng.choice(sorted(children, key=lambda each: each.pid))
    with suppress(psutil.NoSuchProcess):  # it may have exited by itself
        child.kill()
    return f"child {child.pid}"


def kill_beat(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of the scheduler."""
    return _kill_and_start(cluster.beat, rng)


def kill_bridge(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of the bridge: its records are read again, after the group's session timeout for its partitions."""
    return _kill_and_start(cluster.bridge, rng)


def rebalance(cluster: Cluster, rng: Random) -> str:
    """A second bridge joins, works for a while, and leaves cleanly or by SIGKILL."""
    cluster.second_bridge.start()
    seconds = _pause(rng, TOGETHER_SECONDS)
    if rng.random() < 0.5:
        cluster.second_bridge.kill()
        return f"a second bridge, killed after {seconds:.1f} s"
    cluster.second_bridge.terminate()
    cluster.second_bridge.wait()
    return f"a second bridge, stopped after {seconds:.1f} s"


def kill_valkey(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of the server of state and queues: the system keeps what it had written."""
    text = _kill_and_start(cluster.valkey, rng)
    cluster.valkey.wait_until_loaded()
    return text


def crash_valkey(cluster: Cluster, rng: Random) -> str:
    """Valkey's machine crashes: writes that were not synced to disk are lost, though they were acknowledged."""
    lost = _lose_writes(cluster, rng, cluster.valkey.kill)
    seconds = _pause(rng)
    cluster.valkey.start()
    cluster.valkey.wait_until_loaded()
    return f"{lost:,} bytes lost, back after {seconds:.1f} s"


def crash_everything(cluster: Cluster, rng: Random) -> str:
    """The machine of everything except Kafka crashes, and loses what was not synced to disk."""
    lost = _lose_writes(cluster, rng, cluster.kill)
    seconds = _pause(rng)
    cluster.start()
    return f"{lost:,} bytes lost, back after {seconds:.1f} s"


def kill_everything(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of every process except Kafka."""
    cluster.kill()
    seconds = _pause(rng)
    cluster.start()
    return f"back after {seconds:.1f} s"


def kill_kafka(cluster: Cluster, rng: Random) -> str:
    """SIGKILL of the only broker."""
    cluster.broker.kill()
    seconds = _pause(rng)
    cluster.broker.start()
    return f"back after {seconds:.1f} s"


def restart_everything(cluster: Cluster, rng: Random) -> str:
    """SIGTERM to everything, as for an upgrade; then everything is started again."""
    stopped = cluster.stop()
    seconds = _pause(rng)
    cluster.start()
    return f"stopped {stopped}; back after {seconds:.1f} s"


def draw(certain: Sequence[Fault], others: Sequence[Fault], count: int, rng: Random) -> list[Fault]:
    """This many faults in random order: all required ones, and no kind again before each was used once."""
    drawn = rng.sample(certain, min(count, len(certain))) + rng.sample(others, max(0, min(count - len(certain), len(others))))
    rng.shuffle(drawn)
    kinds = (*certain, *others)
    while len(drawn) < count:
        drawn += rng.sample(kinds, min(len(kinds), count - len(drawn)))
    return drawn


def _kill_and_start(part: Part, rng: Random) -> str:
    part.kill()
    seconds = _pause(rng)
    part.start()
    return f"back after {seconds:.1f} s"


def _lose_writes(cluster: Cluster, rng: Random, kill: Callable[[], None]) -> int:
    cluster.valkey.wait_until_busy(IDLE_SECONDS)  # without writes there is nothing to lose
    safe = cluster.valkey.lag_behind()
    _pause(rng, LATE_SECONDS)
    kill()
    return cluster.valkey.lose(safe, share=rng.random())


def _pause(rng: Random, longest: float = SUPERVISOR_SECONDS) -> float:
    """Sleep for a random time: this is part of the fault, there is no condition to wait for."""
    seconds = rng.uniform(0, longest)
    time.sleep(seconds)
    return seconds
