"""Whichever process dies at any time: every student's mastery is exact, and every record is accounted for, once.

Real events stream from Kafka through bridge and workers into Valkey, with faults at random times. A run prints its seed;
``CHAOS_SEED`` repeats one, ``CHAOS_FAULTS`` sets the number of faults of each test. ``make chaos`` is the long run.
"""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import pytest

from tests.chaos.broker import ApacheKafka, Broker, LastingBroker
from tests.chaos.cluster import Cluster
from tests.chaos.faults import (
    Fault,
    crash_everything,
    crash_valkey,
    draw,
    kill_beat,
    kill_bridge,
    kill_everything,
    kill_kafka,
    kill_valkey,
    kill_worker,
    kill_worker_child,
    rebalance,
    restart_everything,
)
from tests.chaos.records import Expected, RealEvents, SentRecord, Student, compose, expected_students
from tests.chaos.run import Run
from tests.chaos.valkey import Fsync

RETAINED = 50_000
SECONDS_A_FAULT = 2.5  # of streaming; recovery from a fault sometimes takes longer


class Laboratory:
    """What every run has in common: the environment, the records and the seed."""

    def __init__(self, folder: Path, events: RealEvents, reference: Path, seed: int, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._events = events
        self._reference = reference
        self._seed = seed
        self._tell = tell

    def prove(self, broker: Broker, fsync: Fsync, *, certain: Sequence[Fault], others: Sequence[Fault], few: int) -> None:
        """Apply faults to a stream, and check that they make no difference."""
        rng = Random(self._seed)
        records = compose(self._events, rng, retained=RETAINED)
        faults = draw(certain, others, int(os.environ.get("CHAOS_FAULTS") or few), rng)
        rate = len(records) / (len(faults) * SECONDS_A_FAULT)
        with (
            Cluster(self._folder / "cluster", broker, fsync) as cluster,
            Run(cluster, records, faults, seed=self._seed, rate=rate, tell=self._tell) as run,
        ):
            run.conduct()
            run.check_counters()
            run.check_dead_letters()
            run.check_students(self._expected(records))

    def _expected(self, records: Sequence[SentRecord]) -> dict[date, dict[Student, Expected]]:
        """The reference's result on each day of the run: on two days, if it has passed midnight."""
        days = {self._events.as_of, datetime.now(UTC).date()}
        return {day: expected_students(self._reference, records, day, self._folder) for day in days}


@pytest.fixture
def laboratory(tmp_path: Path, real_events: RealEvents, reference: Path, seed: int, tell: Callable[[str], None]) -> Laboratory:
    return Laboratory(tmp_path, real_events, reference, seed, tell)


def test_nothing_is_lost_where_every_write_is_on_the_disk(laboratory: Laboratory, lasting_broker: LastingBroker) -> None:
    """``appendfsync always``: no crash loses a write that Valkey acknowledged."""
    certain = (kill_worker, kill_worker_child, kill_bridge, kill_valkey)
    others = (kill_everything, kill_beat, rebalance, restart_everything)
    laboratory.prove(lasting_broker, Fsync.ALWAYS, certain=certain, others=others, few=6)


def test_what_the_disk_lost_is_read_again(laboratory: Laboratory, lasting_broker: LastingBroker) -> None:
    """``appendfsync everysec``: a crash of the machine loses up to two seconds of acknowledged writes.

    They are lost together, since positions, chunks, facts and counters are in one append-only file: the remaining state existed
    before. The bridge commits offsets to Kafka only up to positions that are known to be on disk. After a crash it finds the
    positions further back than it left them, seeks back to them, and reads the lost records again.
    """
    others = (kill_valkey, kill_worker, kill_worker_child, kill_bridge, rebalance)
    laboratory.prove(lasting_broker, Fsync.EVERYSEC, certain=(crash_valkey, crash_everything), others=others, few=3)


def test_kafka_dies_like_everything_else(laboratory: Laboratory, mortal_broker: ApacheKafka) -> None:
    """A real Kafka with one node keeps what it acknowledged when its process is killed."""
    others = (kill_worker, kill_worker_child, kill_bridge, kill_valkey, kill_everything, rebalance, restart_everything)
    laboratory.prove(mortal_broker, Fsync.ALWAYS, certain=(kill_kafka,), others=others, few=3)
