"""POST /analytics/compare in a cohort of 100,000 students with 16 clients, beside queries of the same students."""

from random import Random
from statistics import median

from app.analytics.comparison import Extent
from app.analytics.publish_statistics import publish_statistics
from app.bootstrap import Engine
from app.clock import day_number
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
        _fill(stack.engine, students)
        plans = _plans(stack, url, students, seconds)
        loads: dict[str, list[Load]] = {name: [] for name in plans}
        for plan in plans.values():
            run_load(plan)
        for _round in range(rounds):
            for name, plan in plans.items():
                loads[name].append(run_load(plan))
    queries = loads.pop("query")
    return [_row(f"{name}\ncohort of {students:,}", found, queries) for name, found in loads.items()]


def _fill(engine: Engine, students: int) -> None:
    """Fill the cohort, and publish its statistics, which its students are compared with."""
    now = engine.clock()
    fill_large_tenant(engine, students, students, now)
    list(publish_statistics(TENANT, stores=engine.mastery, published=engine.published, today=day_number(now)))


def _plans(stack: Stack, url: str, students: int, seconds: float) -> dict[str, Plan]:
    """Ask about students of the cohort in turn: their teachers, and for what is published, they themselves."""
    drawn = [student(number) for number in Random(18).sample(range(students), CALLERS)]
    teachers = [(each, stack.token(Role.TEACHER, TENANT, f"teacher-of-{each}", (LARGE_COHORT,))) for each in drawn]
    themselves = [(each, stack.token(Role.STUDENT, TENANT, each)) for each in drawn]
    asked = [(extent, who) for who in ("teachers", "students") for extent in Extent]
    return {
        "query": plan_posts(url, "/mastery/query", teachers, CLIENTS, seconds),
        **{
            f"{extent}, {who}": plan_posts(
                url, "/analytics/compare", teachers if who == "teachers" else themselves, CLIENTS, seconds, metric=extent.value
            )
            for extent, who in asked
        },
    }


def _row(what: str, loads: list[Load], queries: list[Load]) -> Row:
    (rate, p95), (query_rate, query_p95) = (
        (median(load.rate for load in each), median(percentile(load.latencies, 95) for load in each))
        for each in (loads, queries)
    )
    return Row(
        what=f"POST /analytics/compare, {CLIENTS} clients, {what}",
        measured=f"{rate:,.0f}/s, p95 {p95 * 1000:.0f} ms",
        baseline=f"{query_rate:,.0f}/s, p95 {query_p95 * 1000:.0f} ms\nPOST /mastery/query",
        ratio=f"{rate / query_rate:.0%}",
        target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
        met=p95 < TARGET_P95,
    )
