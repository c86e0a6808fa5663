"""Batches from POST to the last readable result, against one Celery task per student under a chord; their memory and bounds."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from threading import Event as Flag
from threading import Thread
from typing import Any, NamedTuple

import msgspec
import psutil

from benchmarks.batch_bounds import measure_bounds
from benchmarks.batch_client import BatchClient, fill_tenant, student
from benchmarks.one_task_per_student import NAME, Asked
from benchmarks.percentile import percentile
from benchmarks.stacks import PROJECT, fresh_stack, stop
from benchmarks.table import Row
from benchmarks.workload import TENANT
from tests.stack import Stack

TARGET_RATIO, TARGET_GROWTH, TARGET_ACCEPTED = 20, 0.2, 0.1
SMALL, LISTED = 1_000, 10_000
TARGET_SMALL, TARGET_LARGE = 1.0, 20.0
BASELINE_STUDENTS, WARM_UP = 2_000, 100
SAMPLE_SECONDS = 0.02


class Size(NamedTuple):
    """What batches of one size took.

    Attributes:
        whole: seconds from POST to the last result read.
        each: seconds per student from the batch's start to its end.
        cpu: CPU seconds of worker and Valkey per student.
        peak: the highest resident memory of any process of the worker.
    """

    whole: float
    each: float
    cpu: float
    peak: int


def measure(*, quick: bool) -> list[Row]:
    """Measure on one stack, whose tenant has as many students as the largest batch."""
    large = 10_000 if quick else 100_000
    with fresh_stack() as stack:
        fill_tenant(stack, large)
        client = BatchClient(stack)
        client.run(SMALL)
        return [
            *_sizes(stack, client, large, rounds=2 if quick else 5),
            *_accepted(client, repetitions=5 if quick else 30),
            _naive(stack, client, rounds=1 if quick else 3),
            *measure_bounds(stack, large, quick=quick),
        ]


def _sizes(stack: Stack, client: BatchClient, large: int, rounds: int) -> list[Row]:
    """In each round as many students in small batches as in a large one, or a fifth if that is a lot."""
    repetitions = min(large // SMALL, 20)
    small = _size(stack, client, SMALL, rounds * repetitions)
    big = _size(stack, client, None, rounds)
    wall, cpu, memory = big.each / small.each - 1, big.cpu / small.cpu - 1, big.peak / small.peak - 1
    return [
        Row(
            what=f"batch of {SMALL:,} students, POST to last result",
            measured=f"{small.whole:.2f} s",
            target=f"< {TARGET_SMALL:.0f} s",
            met=small.whole < TARGET_SMALL,
        ),
        Row(
            what=f"batch of {large:,} students, POST to last result",
            measured=f"{big.whole:.2f} s",
            target=f"< {TARGET_LARGE:.0f} s",
            met=big.whole < TARGET_LARGE,
        ),
        Row(
            what=f"time per student in a batch of {large:,}\nfrom its start to its end",
            measured=f"{big.each * 1e6:.0f} µs wall\n{big.cpu * 1e6:.0f} µs CPU",
            baseline=f"{small.each * 1e6:.0f} µs wall\n{small.cpu * 1e6:.0f} µs CPU\nin a batch of {SMALL:,}",
            ratio=f"{wall:+.0%} wall\n{cpu:+.0%} CPU",
            target=f"at most {TARGET_GROWTH:+.0%}",
            met=max(wall, cpu) <= TARGET_GROWTH,
        ),
        Row(
            what="peak memory of a worker process (RSS)",
            measured=f"{big.peak / 1e6:.1f} MB",
            baseline=f"{small.peak / 1e6:.1f} MB\nin batches of {SMALL:,}",
            ratio=f"{memory:+.0%}",
            target=f"within {TARGET_GROWTH:.0%}",
            met=memory <= TARGET_GROWTH,
        ),
    ]


def _size(stack: Stack, client: BatchClient, students: int | None, repetitions: int) -> Size:
    """Medians of several batches, one after another; of CPU the mean, and the highest memory in any."""
    before = cpu_seconds(stack)
    with _worker_memory(stack) as peak:
        done = [client.run(students) for _ in range(repetitions)]
    cpu = (cpu_seconds(stack) - before) / sum(state["total"] for state, _ in done)
    each = median(_running_seconds(state) / state["total"] for state, _ in done)
    return Size(median(seconds for _, seconds in done), each, cpu, peak[0])


def cpu_seconds(stack: Stack) -> float:
    """CPU seconds so far of the worker and of Valkey; those of the API are mostly for polling."""
    server = stack.engine.redis.info("cpu")
    workers = sum(sum(each.cpu_times()[:2]) for each in _worker(stack))
    return workers + float(server["used_cpu_user"]) + float(server["used_cpu_sys"])


def _worker(stack: Stack) -> list[psutil.Process]:
    """The processes of the worker: the main one and its children."""
    family = psutil.Process(stack.process.pid).children(recursive=True)
    main = next(each for each in family if "worker" in each.cmdline() and each.children())
    return [main, *main.children()]


def _running_seconds(state: dict[str, Any]) -> float:
    started, finished = (datetime.fromisoformat(state[name]) for name in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


@contextmanager
def _worker_memory(stack: Stack) -> Iterator[list[int]]:
    """Yields a list whose only item is the highest resident memory of any process of the worker within the context."""
    processes, stopped, peak = _worker(stack), Flag(), [0]

    def sample() -> None:
        while not stopped.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], *(each.memory_info().rss for each in processes))

    thread = Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        stopped.set()
        thread.join()


def _accepted(client: BatchClient, repetitions: int) -> list[Row]:
    """The time until the 202; each batch is cancelled, so that none of it runs during the next request."""
    rows = []
    for students, what in ((LISTED, f"{LISTED:,} listed students"), (None, "all students")):
        seconds = []
        for _ in range(repetitions):
            batch = client.submit(students)
            client.cancel(batch)
            seconds.append(batch.accepted)
        p50, p95 = (percentile(seconds, percent) for percent in (50, 95))
        rows.append(
            Row(
                what=f"POST of a batch of {what} → 202",
                measured=f"p50 {p50 * 1000:.0f}, p95 {p95 * 1000:.0f} ms",
                target=f"p95 < {TARGET_ACCEPTED * 1000:.0f} ms",
                met=p95 < TARGET_ACCEPTED,
            )
        )
    return rows


def _naive(stack: Stack, client: BatchClient, rounds: int) -> Row:
    """Run the engine's batches and the baseline's chords in turn."""
    ours: list[float] = []
    theirs: list[float] = []
    with _chords(stack) as chords:
        chords.seconds(WARM_UP)
        for _round in range(rounds):
            ours.append(client.run(BASELINE_STUDENTS)[1])
            theirs.append(chords.seconds(BASELINE_STUDENTS))
    rate, baseline = (BASELINE_STUDENTS / median(seconds) for seconds in (ours, theirs))
    return Row(
        what=f"students/s in a batch of {BASELINE_STUDENTS:,}",
        measured=f"{rate:,.0f}/s",
        baseline=f"{baseline:,.0f}/s\none Celery task per student, chord",
        ratio=f"{rate / baseline:.1f} ×",
        target=f"≥ {TARGET_RATIO} ×",
        met=rate >= TARGET_RATIO * baseline,
    )


class _Chords:
    """The baseline's client, a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def seconds(self, students: int) -> float:
        """Send a chord about so many students, and return the seconds until all results are read."""
        asked = Asked(TENANT, [student(number) for number in range(students)])
        given, told = self._process.stdin, self._process.stdout
        if given is None or told is None:
            raise AssertionError("the client has no pipes")
        given.write(msgspec.json.encode(asked).decode() + "\n")
        given.flush()
        return float(told.readline())


@contextmanager
def _chords(stack: Stack) -> Iterator[_Chords]:
    """Run the baseline's worker on the stack's servers, with as many processes, and its client. The engine's worker idles."""
    settings = stack.engine.settings
    environment = {
        **stack.environment,
        "MASTERY_REDIS_URL": settings.redis_url,
        "MASTERY_BROKER_URL": settings.broker_url,
        "MASTERY_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
    }
    module, concurrency = "benchmarks.one_task_per_student", str(settings.worker_concurrency)
    options = ["--hostname", f"{NAME}@localhost", "--concurrency", concurrency, "--queues", NAME]
    with (stack.folder.parent / f"{NAME}.log").open("ab") as log:

        def start(*command: str, **pipes: Any) -> "subprocess.Popen[str]":
            command = (sys.executable, "-m", *command)
            return subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=log, text=True, **pipes)

        client = start(module, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        worker = start("celery", "--app", module, "worker", *options, stdout=log)
    try:
        yield _Chords(client)
    finally:
        stop([client, worker])
