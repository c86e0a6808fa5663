"""Erasure of one student and of a whole tenant, and what the latter costs others."""

import time
from statistics import median
from threading import Thread
from typing import NamedTuple

import requests

from app.privacy.erase_students import request_erasures
from app.privacy.erasure import ErasureStatus
from app.pseudonyms import WHOLE_TENANT
from app.roles import Role
from benchmarks.batch_client import BatchClient, fill_tenant, student
from benchmarks.batches import cpu_seconds
from benchmarks.http_load import Load, Plan, plan_posts, run_load
from benchmarks.percentile import percentile
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT
from tests.stack import Stack

TARGET_ONE, TARGET_GROWTH, TARGET_P95 = 1.0, 0.2, 0.1
SMALL, OTHERS, OTHER_STUDENTS, CALLERS = "small", "others", 1_000, 4
POLL_SECONDS = 0.005


class Erased(NamedTuple):
    """Seconds from the request to the receipt, and CPU seconds of worker and Valkey meanwhile."""

    seconds: float
    cpu: float


def measure(*, quick: bool) -> list[Row]:
    """Measure on one stack with three tenants: a large one, one with a tenth of its students, and one that queries."""
    large, repetitions = (10_000, 5) if quick else (100_000, 30)
    with fresh_stack() as stack:
        for tenant, students in {TENANT: large, SMALL: large // 10, OTHERS: OTHER_STUDENTS}.items():
            fill_tenant(stack, students, tenant)
        client = BatchClient(stack)
        client.wait(client.submit(None))
        one = _one(stack, large, repetitions)
        alone = run_load(_plan(stack, seconds=2.0))
        small = _tenant(stack, SMALL)
        whole, meanwhile = _tenant_under_load(stack, seconds=1.0 if quick else 8.0)
        return [one, _linear(whole, large, small), _meanwhile(alone, meanwhile)]


def _one(stack: Stack, students: int, repetitions: int) -> Row:
    """Erase students of the large tenant, one after another; each is in a stored batch of all."""
    before = _scans(stack)
    done = [_erase(stack, student(number)) for number in range(repetitions)]
    seconds, cpu, scans = [each.seconds for each in done], median(each.cpu for each in done), _scans(stack) - before
    return Row(
        what=f"erase one of {students:,} students\nDELETE to receipt, one in a batch of all",
        measured=f"median {median(seconds):.2f}, longest {max(seconds):.2f} s\n{cpu * 1000:.0f} ms CPU, {scans} scans",
        target=f"< {TARGET_ONE:.0f} s, no scan",
        met=max(seconds) < TARGET_ONE and not scans,
    )


def _erase(stack: Stack, student_id: str) -> Erased:
    headers = {"Authorization": f"Bearer {stack.token(tenant=TENANT)}"}
    url, cpu, began = f"{stack.running.http_url}/student/{student_id}", cpu_seconds(stack), time.perf_counter()
    requests.delete(url, headers=headers, timeout=10).raise_for_status()
    while requests.get(f"{url}/erasure", headers=headers, timeout=10).json()["data"]["finished_at"] is None:
        time.sleep(POLL_SECONDS)
    return Erased(time.perf_counter() - began, cpu_seconds(stack) - cpu)


def _scans(stack: Stack) -> int:
    """How often keys were scanned so far."""
    return int(stack.engine.redis.info("commandstats").get("cmdstat_scan", {"calls": 0})["calls"])


def _tenant(stack: Stack, tenant: str) -> Erased:
    """Erase all students of a tenant, like ``mastery erase --tenant``."""
    engine, cpu, began = stack.engine, cpu_seconds(stack), time.perf_counter()
    request_erasures(
        tenant, {WHOLE_TENANT: ""}, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
    )
    while engine.erasures.read(tenant, [WHOLE_TENANT]).status is not ErasureStatus.DONE:
        time.sleep(POLL_SECONDS)
    return Erased(time.perf_counter() - began, cpu_seconds(stack) - cpu)


def _tenant_under_load(stack: Stack, seconds: float) -> tuple[Erased, Load]:
    """Erase the large tenant while students of another tenant query."""
    loads: list[Load] = []
    thread = Thread(target=lambda: loads.append(run_load(_plan(stack, seconds))))
    thread.start()
    done = _tenant(stack, TENANT)
    thread.join()
    return done, loads[0]


def _plan(stack: Stack, seconds: float) -> Plan:
    students = [student(number) for number in range(OTHER_STUDENTS)]
    callers = ((each, stack.token(Role.STUDENT, OTHERS, each)) for each in students)
    return plan_posts(stack.running.http_url, "/mastery/query", callers, CALLERS, seconds)


def _linear(whole: Erased, students: int, small: Erased) -> Row:
    each, baseline = whole.cpu / students, small.cpu / (students // 10)
    growth = each / baseline - 1
    return Row(
        what=f"erase a tenant of {students:,} students, beside queries\nCPU of worker and Valkey per student",
        measured=f"{whole.seconds:.1f} s in all\n{each * 1e6:.0f} µs",
        baseline=f"{baseline * 1e6:.0f} µs\na tenant of {students // 10:,}",
        ratio=f"{growth:+.0%}",
        target=f"at most {TARGET_GROWTH:+.0%}",
        met=growth <= TARGET_GROWTH,
    )


def _meanwhile(alone: Load, meanwhile: Load) -> Row:
    p95, before = (percentile(load.latencies, 95) for load in (meanwhile, alone))
    return Row(
        what=f"POST /mastery/query of another tenant meanwhile, {CALLERS} clients",
        measured=f"p95 {p95 * 1000:.0f} ms, {meanwhile.rate:,.0f}/s",
        baseline=f"p95 {before * 1000:.0f} ms, {alone.rate:,.0f}/s\nwithout an erasure",
        target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
        met=p95 < TARGET_P95,
    )
