"""The refresh after midnight of a large tenant by the worker of a whole stack, beside queries of 16 clients."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from threading import Thread
from typing import NamedTuple

import psutil
from kombu import Connection

from app.bootstrap import Engine
from app.clock import day_number
from app.roles import Role
from app.storage.keys import Keys
from benchmarks.batch_client import student
from benchmarks.batches import cpu_seconds
from benchmarks.http_load import Load, Plan, plan_posts, run_load
from benchmarks.large_tenant import fill_large_tenant
from benchmarks.percentile import percentile
from benchmarks.query import APPLICATION, CLIENTS, served
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT
from consumers.kafka.paced_producer import wait_for_progress
from tasks.mastery import refresh
from tests.stack import Stack

STUDENTS, TARGET_SECONDS, TARGET_P95 = 500_000, 600.0, 0.1
CALLERS = 1_024  # students who query: each of them stays far below the limit of requests


class Refreshed(NamedTuple):
    """Seconds from sending the task until every score is of today, CPU seconds of worker and Valkey, seconds of the queries."""

    seconds: float
    cpu: float
    latencies: list[float]


def measure(*, quick: bool) -> list[Row]:
    """Measure the refresh, and then queries alone, on one stack."""
    students, in_large_cohort, seconds = (20_000, 5_000, 1.0) if quick else (STUDENTS, 100_000, 10.0)
    with fresh_stack() as stack, served(stack, APPLICATION) as url, _without_beat(stack):
        fill_large_tenant(stack.engine, students, in_large_cohort, stack.engine.clock() - timedelta(days=1))
        _wait_until_published(stack.engine)
        plan = _plan(stack, url, students, seconds)
        run_load(plan)
        done = _refresh(stack, plan)
        _wait_until_published(stack.engine)
        alone = run_load(plan)
    return [_duration(students, done), _meanwhile(done.latencies, alone)]


@contextmanager
def _without_beat(stack: Stack) -> Iterator[None]:
    """Suspend beat within the context: its refreshes would run while the tenant is filled, and beside the measured one."""
    family = psutil.Process(stack.process.pid).children(recursive=True)
    beats = [each for each in family if "beat" in each.cmdline()]
    for each in beats:
        each.suspend()
    try:
        yield
    finally:
        for each in beats:
            each.resume()


def _wait_until_published(engine: Engine) -> None:
    """Wait until the relay has published the changes of scores, so that it does not do so beside the measured work."""

    def entries() -> int:
        return engine.outbox.entries([TENANT]).get(TENANT, 0)

    wait_for_progress(lambda: not entries(), entries, "the relay", "publishes no more changes")


def _refresh(stack: Stack, plan: Plan) -> Refreshed:
    """Send the task like beat, and repeat the plan until every score is of today.

    Returns:
        What it took.

    Raises:
        AssertionError: some scores were of today before.
    """
    engine = stack.engine
    if _waiting(engine) != engine.redis.zcard(Keys(engine.settings.key_prefix).students(TENANT)):
        raise AssertionError("some scores were of today before the refresh")
    cpu, began = cpu_seconds(stack), time.perf_counter()
    _send(stack)
    with _repeated(plan) as loads:
        wait_for_progress(lambda: not _waiting(engine), lambda: _waiting(engine), "the worker", "refreshes no more students")
        seconds, cpu = time.perf_counter() - began, cpu_seconds(stack) - cpu
    during = loads[:-1] or loads  # the last one went on after the end
    return Refreshed(seconds, cpu, [latency for load in during for latency in load.latencies])


def _waiting(engine: Engine) -> int:
    """How many scores are of an earlier day."""
    students = Keys(engine.settings.key_prefix).students(TENANT)
    return int(engine.redis.zcount(students, "-inf", day_number(engine.clock()) - 1))


def _send(stack: Stack) -> None:
    settings = stack.engine.settings
    options = {"global_keyprefix": f"{settings.key_prefix}:celery:"}
    with Connection(settings.broker, transport_options=options) as connection:
        refresh.apply_async(connection=connection)


@contextmanager
def _repeated(plan: Plan) -> Iterator[list[Load]]:
    """Run a plan again and again within the context. Yields the list of the loads; after the context, it is complete."""
    loads: list[Load] = []
    is_over = False

    def run() -> None:
        while not is_over:
            loads.append(run_load(plan))

    thread = Thread(target=run)
    thread.start()
    try:
        yield loads
    finally:
        is_over = True
        thread.join()


def _plan(stack: Stack, url: str, students: int, seconds: float) -> Plan:
    """Queries of students of all cohorts in turn, each with their own token."""
    names = [student(number) for number in Random(16).sample(range(students), CALLERS)]
    callers = ((name, stack.token(Role.STUDENT, TENANT, name)) for name in names)
    return plan_posts(url, "/mastery/query", callers, CLIENTS, seconds)


def _duration(students: int, done: Refreshed) -> Row:
    seconds, note = done.seconds, ""
    if students != STUDENTS:
        seconds *= STUDENTS / students
        note = f"\n{STUDENTS:,}, extrapolated: {seconds:.0f} s"
    return Row(
        what=f"refresh after midnight of {students:,} students\nbeside queries; CPU of worker and Valkey",
        measured=f"{done.seconds:.1f} s{note}\n{done.cpu / students * 1e6:.0f} µs CPU a student",
        target=f"{STUDENTS:,} in < {TARGET_SECONDS / 60:.0f} min",
        met=seconds < TARGET_SECONDS,
    )


def _meanwhile(latencies: list[float], alone: Load) -> Row:
    p95, before = (percentile(each, 95) for each in (latencies, alone.latencies))
    return Row(
        what=f"POST /mastery/query during the refresh, {CLIENTS} clients",
        measured=f"p95 {p95 * 1000:.0f} ms",
        baseline=f"p95 {before * 1000:.0f} ms\nafter it",
        ratio=f"{p95 / before:.2f} ×",
        target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
        met=p95 < TARGET_P95,
    )
