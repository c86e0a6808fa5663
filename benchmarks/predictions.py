"""POST /predictions/next-week with 16 clients: forecasts from the cache, and forecasts that tasks compute."""

from statistics import median

from app.roles import Role
from benchmarks.http_load import Load, Plan, plan_posts, run_load
from benchmarks.percentile import percentile
from benchmarks.query import APPLICATION, CLIENTS, STUDENTS, fill, served
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT
from tests.stack import Stack

TARGET_P95 = 0.05  # of cached forecasts
WAITERS = 6  # as many clients as may wait for a task: others get a 202 at once, which is no forecast
_NAMES = [f"student-{number}" for number in range(STUDENTS)]


def measure(*, quick: bool) -> list[Row]:
    """Measure both alternately: first no forecast is stored, then all are. The results are medians over the rounds."""
    rounds, seconds = (2, 1.5) if quick else (5, 4.0)
    computed: list[Load] = []
    cached: list[Load] = []
    with fresh_stack() as stack, served(stack, APPLICATION) as url:
        fill(stack)
        run_load(_plan(stack, url, 1.0, STUDENTS, clients=WAITERS))
        for number in range(rounds):
            stack.engine.forecasts.erase(TENANT, _NAMES)
            computed.append(run_load(_plan(stack, url, seconds, STUDENTS, first=number * STUDENTS // rounds, clients=WAITERS)))
            run_load(_plan(stack, url, 1.0, WAITERS, clients=WAITERS))  # stores their forecasts
            cached.append(run_load(_plan(stack, url, seconds, WAITERS)))
    (rate, p95), (slow_rate, slow_p95) = (
        (median(load.rate for load in loads), median(percentile(load.latencies, 95) for load in loads))
        for loads in (cached, computed)
    )
    return [
        Row(
            what=f"POST /predictions/next-week, cached, {CLIENTS} clients",
            measured=f"{rate:,.0f}/s, p95 {p95 * 1000:.0f} ms",
            baseline=f"{slow_rate:,.0f}/s, p95 {slow_p95 * 1000:.0f} ms\ncomputed by a task, {WAITERS} clients",
            ratio=f"{rate / slow_rate:.1f}",
            target=f"p95 < {TARGET_P95 * 1000:.0f} ms",
            met=p95 < TARGET_P95,
        )
    ]


def _plan(stack: Stack, url: str, seconds: float, students: int, *, first: int = 0, clients: int = CLIENTS) -> Plan:
    """Ask about each of these students in turn, with their own tokens."""
    names = [_NAMES[(first + number) % STUDENTS] for number in range(students)]
    callers = [(name, stack.token(Role.STUDENT, TENANT, name)) for name in names]
    return plan_posts(url, "/predictions/next-week", callers, clients, seconds)
