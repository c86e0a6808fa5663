"""POST /analytics/mastery-history of 90 days with 16 clients, beside queries of the same students in the same run."""

from datetime import timedelta
from statistics import median

from app.roles import Role
from benchmarks.http_load import Load, Plan, plan_posts, run_load
from benchmarks.percentile import percentile
from benchmarks.query import APPLICATION, CLIENTS, STUDENTS, fill, plan_queries, served
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT
from tests.stack import Stack

DAYS = 90  # the last one is today, all others have evidence
TARGET_P95 = 0.05


def measure(*, quick: bool) -> list[Row]:
    """Measure histories and queries alternately; the results are medians over the rounds."""
    rounds, seconds = (2, 1.5) if quick else (5, 4.0)
    histories: list[Load] = []
    queries: list[Load] = []
    with fresh_stack() as stack, served(stack, APPLICATION) as url:
        fill(stack, DAYS - 1)
        run_load(_plan(stack, url, 1.0))
        for _round in range(rounds):
            queries.append(run_load(plan_queries(stack, url, seconds)))
            histories.append(run_load(_plan(stack, url, seconds)))
    (rate, p95), (query_rate, query_p95) = (
        (median(load.rate for load in loads), median(percentile(load.latencies, 95) for load in loads))
        for loads in (histories, queries)
    )
    return [
        Row(
            what=f"POST /analytics/mastery-history, {DAYS} days, {CLIENTS} clients",
            measured=f"{rate:,.0f}/s, p95 {p95 * 1000:.0f} ms",
            baseline=f"{query_rate:,.0f}/s, p95 {query_p95 * 1000:.0f} ms\nPOST /mastery/query",
            ratio=f"{rate / query_rate:.0%}",
            target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
            met=p95 < TARGET_P95,
        )
    ]


def _plan(stack: Stack, url: str, seconds: float) -> Plan:
    """The history of each student in turn, asked for by the student."""
    today = stack.engine.clock().date()
    days = {"start_date": (today - timedelta(days=DAYS - 1)).isoformat(), "end_date": today.isoformat()}
    students = [f"student-{number}" for number in range(STUDENTS)]
    callers = [(student, stack.token(Role.STUDENT, TENANT, student)) for student in students]
    return plan_posts(url, "/analytics/mastery-history", callers, CLIENTS, seconds, **days)
