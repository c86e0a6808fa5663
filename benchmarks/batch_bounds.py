"""What a running batch may cost others: a more urgent batch, a less urgent one, interactive calls and events."""

import time
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import NamedTuple

from app.batches.batch import Priority
from app.roles import Role
from benchmarks.batch_client import POLL_SECONDS, BatchClient, batches_running, student
from benchmarks.http_load import Plan, plan_posts, run_load
from benchmarks.percentile import percentile
from benchmarks.table import Row
from benchmarks.throughput import recording_rate
from benchmarks.workload import TENANT, classroom_records
from tasks.queues import BATCH_QUEUES, WEIGHTS
from tests.stack import Stack

URGENT_STUDENTS, TARGET_OVERTAKEN = 1_000, 2.0
TARGET_P95, TARGET_LOSS = 0.1, 0.2
CALLERS, CALL_STUDENTS = 4, 1_000
STARTED_SHARE = 0.05  # of the batch that is to be overtaken


def measure_bounds(stack: Stack, students: int, *, quick: bool) -> list[Row]:
    """Measure on a stack whose tenant has so many students."""
    rounds, seconds = (1, 1.0) if quick else (5, 3.0)
    client = BatchClient(stack)
    return [
        _overtaking(client, students, rounds),
        _share(client, students, 1 if quick else 3),
        *(_interactive(stack, path, rounds, seconds) for path in ("query", "calculate")),
        *_events(stack, rounds=1 if quick else 3, students=1_000 if quick else 12_000),
    ]


def _overtaking(client: BatchClient, students: int, rounds: int) -> Row:
    """Submit an urgent batch while one of low priority runs, which goes on meanwhile."""
    seconds, shares = [], []
    for _round in range(rounds):
        low = client.submit(None, Priority.LOW)
        _wait_until_started(client, low.batch_id, students)
        before = _done(client, low.batch_id)
        seconds.append(client.run(URGENT_STUDENTS, Priority.HIGH)[1])
        after = client.state(low.batch_id)
        if after["finished_at"] is not None:
            raise AssertionError("the low batch ended before the high one: nothing was overtaken")
        shares.append((after["succeeded"] - before) / students)
        client.wait(low)
        client.forget(low)
    return Row(
        what=f"high batch of {URGENT_STUDENTS:,} during a low one of {students:,}\nPOST to last result",
        measured=f"median {median(seconds):.2f}, longest {max(seconds):.2f} s\nthe low one does {median(shares):.1%} meanwhile",
        target=f"< {TARGET_OVERTAKEN:.0f} s",
        met=max(seconds) < TARGET_OVERTAKEN,
    )


def _share(client: BatchClient, students: int, rounds: int) -> Row:
    """The low batch's share of the students that are computed while batches of all three priorities run."""
    shares = []
    for _round in range(rounds):
        batches = {priority: client.submit(None, priority) for priority in Priority}
        for batch in batches.values():
            _wait_until_started(client, batch.batch_id, students)
        before = {priority: _done(client, batch.batch_id) for priority, batch in batches.items()}
        while client.state(batches[Priority.HIGH].batch_id)["finished_at"] is None:
            done = {priority: _done(client, batch.batch_id) - before[priority] for priority, batch in batches.items()}
            time.sleep(POLL_SECONDS)
        shares.append(done[Priority.LOW] / sum(done.values()))
        for batch in batches.values():
            client.wait(batch)
            client.forget(batch)
    bound = WEIGHTS[BATCH_QUEUES[Priority.LOW]] / sum(WEIGHTS[queue] for queue in BATCH_QUEUES.values())
    return Row(
        what="share of a low batch while high and normal ones run",
        measured=f"median {median(shares):.1%}, least {min(shares):.1%}",
        target=f"≥ {bound:.1%}",
        met=min(shares) >= bound - 0.01,  # a chunk more or less at the ends of what is measured
    )


def _wait_until_started(client: BatchClient, batch_id: str, students: int) -> None:
    while _done(client, batch_id) < STARTED_SHARE * students:
        time.sleep(POLL_SECONDS)


def _done(client: BatchClient, batch_id: str) -> int:
    return int(client.state(batch_id)["succeeded"])


class _Calls(NamedTuple):
    """Answers per second, the 95th percentile of their latency in seconds, and students per second of batches meanwhile."""

    rate: float
    p95: float
    students: float

    def __str__(self) -> str:
        return f"p95 {self.p95 * 1000:.0f} ms, {self.rate:,.0f}/s"


def _interactive(stack: Stack, path: str, rounds: int, seconds: float) -> Row:
    """Call a route with and without a batch in turn."""
    found: dict[Priority | None, list[_Calls]] = {None: [], Priority.LOW: [], Priority.HIGH: []}
    plan = _plan(stack, path, seconds)
    run_load(plan)
    for _round in range(rounds):
        for priority, calls in found.items():
            with _busy(stack, priority) as students:
                load = run_load(plan)
            calls.append(_Calls(load.rate, percentile(load.latencies, 95), students[0] / load.seconds))
    alone, low, high = (_Calls(*(median(each) for each in zip(*calls, strict=True))) for calls in found.values())
    return Row(
        what=f"POST /mastery/{path}, {CALLERS} clients, during a low batch\nand during a high one",
        measured=f"{low}\n{high}\nbatches {low.students:,.0f} and {high.students:,.0f} students/s",
        baseline=f"{alone}\nwithout a batch",
        target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
        met=max(low.p95, high.p95) < TARGET_P95,
    )


def _plan(stack: Stack, path: str, seconds: float) -> Plan:
    """Each request is about another student, by whom it is made."""
    students = [student(number) for number in range(CALL_STUDENTS)]
    callers = ((each, stack.token(Role.STUDENT, TENANT, each)) for each in students)
    return plan_posts(stack.running.http_url, f"/mastery/{path}", callers, CALLERS, seconds)


def _events(stack: Stack, *, rounds: int, students: int) -> list[Row]:
    """Produce events as fast as the pipeline takes them, with and without batches in turn."""
    rates: dict[Priority | None, list[tuple[float, float]]] = {None: [], Priority.LOW: [], Priority.HIGH: []}
    for number in range(rounds):
        for priority, found in rates.items():
            records = classroom_records(f"{priority}-{number}", students=students, days=14, seed=number)
            with _busy(stack, priority) as computed:
                rate = recording_rate(stack.engine, records)
            found.append((rate, computed[0] * rate / len(records)))
    alone = median(rate for rate, _ in rates[None])
    rows = []
    for priority in (Priority.LOW, Priority.HIGH):
        rate, meanwhile = (median(each) for each in zip(*rates[priority], strict=True))
        rows.append(
            Row(
                what=f"events/s, Kafka to queryable mastery, during {priority} batches",
                measured=f"{rate:,.0f}/s\nbatches {meanwhile:,.0f} students/s",
                baseline=f"{alone:,.0f}/s\nwithout a batch",
                ratio=f"{rate / alone - 1:+.0%}",
                target=f"within {TARGET_LOSS:.0%}",
                met=rate >= (1 - TARGET_LOSS) * alone,
            )
        )
    return rows


def _busy(stack: Stack, priority: Priority | None) -> AbstractContextManager[list[int]]:
    return nullcontext([0]) if priority is None else batches_running(stack, priority)
