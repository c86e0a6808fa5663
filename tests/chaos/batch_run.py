"""Runs batches while faults happen, and compares their results with the queries of their students."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

import msgspec
from kombu import Connection

from app.audit.entry import Actor
from app.batches.batch import Batch, BatchKey, BatchStatus, Priority
from app.batches.batch_kinds import KINDS
from app.batches.batch_results import all_results
from app.batches.submit_batch import BatchRequest, submit_batch
from app.bootstrap import Engine
from app.clock import day_date
from app.errors import DependencyUnavailable
from app.events.event import decode_event
from app.events.record_events import record_events
from app.mastery.formula import DEFAULT_WEIGHTS
from app.mastery.query_mastery import query_mastery
from app.roles import Role
from app.security.access import Action, Principal
from tasks.batches import OVERDUE_SECONDS, run
from tasks.queues import BATCH_QUEUES
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault
from tests.chaos.observed_run import SHOWN, ObservedRun
from tests.learning_events import activity, quiz

TENANT = "chaos"
CALLER = Principal("tester", Role.ADMIN, TENANT)
FAULTS_A_BATCH = 5
# The tasks of a killed worker are sent again when they are overdue; the rest is for a sweep, a worker's start, and the work.
END_SECONDS = OVERDUE_SECONDS + 35.0
LOOK_SECONDS = 0.01  # a batch of 20,000 takes a second
# If an earlier fault stalls the batch, the next one comes after a random time: before or after the recovery.
PATIENCE_SECONDS = OVERDUE_SECONDS + 5.0
FILL_STUDENTS = 500


class BatchRun(ObservedRun):
    """Batches of all students of a tenant, one after another, until all faults have happened."""

    def __init__(
        self, cluster: Cluster, faults: Sequence[Fault], *, students: int, seed: int, tell: Callable[[str], None]
    ) -> None:
        super().__init__(cluster, faults, seed=seed, tell=tell)
        self._students = students
        self._to_come = deque(faults)

    def conduct(self) -> None:
        """Run batches, apply each fault at a random time of one, and check each batch."""
        self._note(f"{self._students:,} students, {len(self._faults)} faults, seed {self._seed}")
        fill(self._cluster.engine, self._students, self._rng)
        number = 0
        while self._to_come:
            key = BatchKey(TENANT, f"b-{number}")
            submit(self._cluster.engine, key)
            self._strike(key)
            self._settle(key)
            assert list(islice(wrong_results(self._cluster.engine, key, self._students), SHOWN)) == []
            number += 1

    def _strike(self, key: BatchKey) -> None:
        """Apply some faults when the batch has computed as many students; those that come too late stay for the next batch."""
        count = min(FAULTS_A_BATCH, len(self._to_come))
        for moment in sorted(self._rng.randrange(self._students) for _ in range(count)):
            deadline = time.monotonic() + self._rng.uniform(0, PATIENCE_SECONDS)
            while (done := self._done(key)) is not None and done < moment and time.monotonic() < deadline:
                self._supervise()
                time.sleep(LOOK_SECONDS)
            if done is None:
                return
            self._apply(self._to_come.popleft(), f" at {done:,} students of {key.batch_id}")

    def _done(self, key: BatchKey) -> int | None:
        """The number of students that are computed, 0 if the server does not say it, None at the end of the batch."""
        batch = self._batch(key)
        return None if batch is not None and batch.status.is_final else batch.done if batch is not None else 0

    def _settle(self, key: BatchKey) -> None:
        """Wait until the batch has ended by itself, and no part of it is left to be computed."""
        began = time.monotonic()
        while self._done(key) is not None or self._running():
            assert time.monotonic() < began + END_SECONDS, f"{key} did not end within {END_SECONDS:.0f} s: {self._batch(key)}"
            self._supervise()
            time.sleep(LOOK_SECONDS)
        self._note(f"{key.batch_id} has ended, {time.monotonic() - began:.1f} s after its last fault")

    def _running(self) -> bool:
        try:
            return bool(self._cluster.engine.batches.running())
        except DependencyUnavailable:
            return True

    def _batch(self, key: BatchKey) -> Batch | None:
        try:
            return self._cluster.engine.batches.read(key)
        except DependencyUnavailable:
            return None  # a server that has just restarted does not answer yet


def fill(engine: Engine, students: int, rng: Random) -> None:
    """Record some days of each student's activity, and quizzes."""
    now = engine.clock()

    def moment() -> str:
        return (now - timedelta(days=rng.randint(1, 30))).isoformat()

    for first in range(0, students, FILL_STUDENTS):
        made: list[dict[str, Any]] = []
        for number in range(first, min(first + FILL_STUDENTS, students)):
            who = {"tenant_id": TENANT, "student_id": f"s-{number:05}", "cohort_id": f"c-{number % 9}"}
            made.append(activity(**who, timestamp=moment(), current_streak=rng.randint(1, 9)))
            made += [quiz(**who, timestamp=moment(), correct_answers=rng.randint(0, 10)) for _ in range(2)]
        record_events([decode_event(msgspec.json.encode(each), now) for each in made], stores=engine.mastery, now=now)


def submit(engine: Engine, key: BatchKey) -> None:
    """Submit a batch of all students and send its first task, like the API."""
    signed = engine.audit.actor_signer.sign(
        [*key[:1], Action.CREATE_BATCH, key.batch_id], Actor(CALLER.role, CALLER.subject), ""
    )
    wanted = BatchRequest(batch_id=key.batch_id, body=b"{}", weights=DEFAULT_WEIGHTS, all=True)
    assert submit_batch(wanted, CALLER, signed, stores=engine.mastery, batches=engine.batches, now=engine.clock())
    settings = engine.settings
    with Connection(settings.broker, transport_options={"global_keyprefix": f"{settings.key_prefix}:celery:"}) as connection:
        run.apply_async(args=(str(key), Priority.NORMAL), queue=BATCH_QUEUES[Priority.NORMAL], connection=connection)


def wrong_results(engine: Engine, key: BatchKey, students: int) -> Iterator[str]:
    """Every difference between a batch and the queries of its students: each must be in it once, with the query's values."""
    batch = engine.batches.read(key)
    if (batch.status, batch.total, batch.succeeded, batch.failed) != (BatchStatus.SUCCEEDED, students, students, 0):
        yield f"{batch.status}: {batch.succeeded} succeeded, {batch.failed} failed, of {batch.total}"
    parts = all_results(batch, CALLER, batches=engine.batches, facts=engine.mastery.facts, consents=engine.consents)
    rows = [row for part in parts for row in part]
    if [row.student_id for row in rows] != [f"s-{number:05}" for number in range(students)]:
        yield f"{len(rows)} results of {len({row.student_id for row in rows})} students"
    for row in rows:
        found = query_mastery(
            TENANT, row.student_id, stores=engine.mastery, now=datetime.now(UTC), on=day_date(batch.order.day)
        )
        if KINDS[batch.order.kind].answer(batch.order, row) != msgspec.to_builtins(found):
            yield f"{row.student_id}: {row}, not {found}"
