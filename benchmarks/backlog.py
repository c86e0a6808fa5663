"""Memory of the bridge and of Redis while millions of records wait in Kafka: must not depend on the backlog.

Needs a real Apache Kafka, since the embedded broker keeps only the newest 5 MB of a partition; skipped without one.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psutil

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from benchmarks.stacks import PROJECT
from benchmarks.table import Row
from benchmarks.workload import classroom_records
from cli.stack.embedded import embedded
from consumers.kafka.clients import producer
from consumers.kafka.delivery import deliver
from consumers.kafka.lag import Lag
from tests.apache_kafka import apache_kafka
from tests.kafka_jars import fetch_jars

SMALL, LARGE, QUICK = 50_000, 5_000_000, 200_000
BATCH = 50_000  # records produced at a time
SETTLED_SECONDS = 20.0  # without a worker; the high mark is reached within two seconds
SAMPLE_SECONDS = 0.1
WORKING_SECONDS = 30.0  # with a worker, which processes the backlog
MEGABYTE = 1_000_000
TARGET_RATIO = 1.5


def measure(*, quick: bool) -> list[Row]:
    """Measure with a small and a large backlog, first without a worker, so that nothing is processed, then with one."""
    try:
        jars = fetch_jars()
    except DependencyUnavailable as error:
        return [Row(what=f"memory with a backlog of {LARGE:,} records", measured=f"not measured: {error}")]
    large = QUICK if quick else LARGE
    bridge_small, redis_small = _peaks(jars, SMALL)
    bridge_large, redis_large = _peaks(jars, large)
    return [
        Row(
            what=f"memory with a backlog of {large:,} records in Kafka\nbridge (RSS) and Redis (used), peaks",
            measured=f"{bridge_large / MEGABYTE:.0f} MB, {redis_large / MEGABYTE:.0f} MB",
            baseline=f"{bridge_small / MEGABYTE:.0f} MB, {redis_small / MEGABYTE:.0f} MB\nbacklog of {SMALL:,}",
            ratio=f"{bridge_large / bridge_small:.2f} ×, {redis_large / redis_small:.2f} ×",
            target=f"bounded: bridge < {TARGET_RATIO} ×",
            met=bridge_large < TARGET_RATIO * bridge_small,
        )
    ]


def _peaks(jars: Path, backlog: int) -> tuple[int, int]:
    """Peak memory of bridge and Redis in bytes, on new servers."""
    with TemporaryDirectory(prefix="mastery-bench-") as folder:
        path = Path(folder)
        with (
            embedded("valkey", str(path / "valkey"), "0") as url,
            apache_kafka(path / "kafka", jars) as bootstrap_servers,
        ):
            variables = {
                "MASTERY_REDIS_URL": url,
                "MASTERY_KAFKA_BOOTSTRAP": bootstrap_servers,
                "MASTERY_DATA_DIR": str(path / "data"),
            }
            engine = bootstrap(load_settings(variables))
            _produce(engine, backlog)
            try:
                return _bridge(engine, variables)
            finally:
                engine.redis.close()


def _produce(engine: Engine, count: int) -> None:
    """Fill the topic with repetitions of the same events, which cost as much to read and decode as new ones."""
    records = classroom_records("backlog", students=6_000, days=14, seed=6)[:BATCH]
    out = producer(engine.settings)
    for start in range(0, count, len(records)):
        some = records[: count - start]
        deliver(out, engine.settings.events_topic, ((key, value, []) for key, value in some))


def _bridge(engine: Engine, variables: dict[str, str]) -> tuple[int, int]:
    lag = Lag(engine)
    environment = {**os.environ, **variables}
    with _process(environment, "consumers") as bridge:
        alone = _watch(engine, lag, bridge, SETTLED_SECONDS)
        with _process(environment, "celery", "--app", "tasks.celery", "worker", "--concurrency", "2"):
            working = _watch(engine, lag, bridge, WORKING_SECONDS)
    lag.close()
    return max(alone[0], working[0]), max(alone[1], working[1])


def _watch(engine: Engine, lag: Lag, bridge: psutil.Popen, seconds: float) -> tuple[int, int]:
    """Peak memory within ``seconds``, or until nothing waits any more."""
    deadline, resident, used = monotonic() + seconds, 0, 0
    while monotonic() < deadline and (lag.records() or engine.ledger.in_flight()):
        resident = max(resident, bridge.memory_info().rss)
        used = max(used, int(engine.redis.info("memory")["used_memory"]))
        sleep(SAMPLE_SECONDS)
    return resident, used


@contextmanager
def _process(environment: dict[str, str], *command: str) -> Iterator[psutil.Popen]:
    process = psutil.Popen(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
