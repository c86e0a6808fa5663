"""POST /analytics/compare in a cohort of 100,000 students with 16 clients, beside queries of the same students."""

from random import Random
from statistics import median

from app.analytics.comparison import Extent
from app.roles import Role
from benchmarks.batch_client import student
from benchmarks.http_load import Load, Plan, plan_posts, run_load
from benchmarks.large_tenant import LARGE_COHORT, fill_large_tenant
from benchmarks.percentile import percentile
from benchmarks.query import APPLICATION, CLIENTS, served
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT
from tests.stack import Stack

STUDENTS, TARGET_P95 = 100_000, 0.05
CALLERS = 1_024  # each a teacher or a student with a token of their own, who stays far below the limit of requests


def measure(*, quick: bool) -> list[Row]:
    """Measure all in turn; the results are medians over the rounds."""
    students, rounds, seconds = (10_000, 2, 1.5) if quick else (STUDENTS, 5, 4.0)
    with fresh_stack() as stack, served(stack, APPLICATION) as url:
        fill_large_tenant(stack.engine, students, students, stack.engine.clock())
        plans = _plans(stack, url, students, seconds)
        loads: dict[str, list[Load]] = {name: [] for name in plans}
        for plan in plans.values():
            run_load(plan)
        for _round in range(rounds):
            for name, plan in plans.items():
                loads[name].append(run_load(plan))
    queries = loads.pop("query")
    return [_row(f"{name}, {students:,} students", found, queries) for name, found in loads.items()]


def _plans(stack: Stack, url: str, students: int, seconds: float) -> dict[str, Plan]:
    """What teachers ask about students of the cohort in turn. Queries are theirs, too, so that the rights are the same."""
    drawn = [student(number) for number in Random(18).sample(range(students), CALLERS)]
    callers = [(each, stack.token(Role.TEACHER, TENANT, f"teacher-of-{each}", (LARGE_COHORT,))) for each in drawn]
    return {
        "query": plan_posts(url, "/mastery/query", callers, CLIENTS, seconds),
        **{extent: plan_posts(url, "/analytics/compare", callers, CLIENTS, seconds, metric=extent.value) for extent in Extent},
    }


def _row(what: str, loads: list[Load], queries: list[Load]) -> Row:
    (rate, p95), (query_rate, query_p95) = (
        (median(load.rate for load in each), median(percentile(load.latencies, 95) for load in each))
        for each in (loads, queries)
    )
    return Row(
        what=f"POST /analytics/compare, {what}, {CLIENTS} clients",
        measured=f"{rate:,.0f}/s, p95 {p95 * 1000:.0f} ms",
        baseline=f"{query_rate:,.0f}/s, p95 {query_p95 * 1000:.0f} ms\nPOST /mastery/query",
        ratio=f"{rate / query_rate:.0%}",
        target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
        met=p95 < TARGET_P95,
    )
