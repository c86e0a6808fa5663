"""POST /mastery/query with 16 clients, against a bare Flask application with the same gunicorn settings.

Both run in their own processes and log to a file; with `mastery up`, printing the engine's request log would cost extra. All
students query their own mastery with their own token, so that rate limits count as few requests for each as in production.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from statistics import median

import requests

from app.events.record_events import record_events
from app.roles import Role
from benchmarks.http_load import Load, Plan, plan_posts, run_load
from benchmarks.percentile import percentile
from benchmarks.stacks import PROJECT, fresh_stack
from benchmarks.table import Row
from benchmarks.workload import TENANT, Kind, event, noon
from cli.stack.ports import claim_port
from tests.stack import Stack, wait_for

APPLICATION, BASELINE = "api.wsgi:create_app()", "benchmarks.bare_flask:create_app()"
TARGET_SHARE, TARGET_P95 = 0.7, 0.1
CLIENTS, STUDENTS, DAYS = 16, 1024, 75  # 50 requests per minute and student: 850 per second
READY_SECONDS, STOP_SECONDS = 30.0, 15.0


def measure(*, quick: bool) -> list[Row]:
    """Measure engine and baseline alternately, both running throughout; the results are medians over the rounds."""
    rounds, seconds = (2, 1.5) if quick else (5, 4.0)
    ours: list[Load] = []
    theirs: list[Load] = []
    with fresh_stack() as stack, served(stack, APPLICATION) as url, served(stack, BASELINE) as baseline_url:
        fill(stack)
        urls = {url: ours, baseline_url: theirs}
        for each in urls:
            run_load(plan_queries(stack, each, 1.0))
        for _round in range(rounds):
            for each, loads in urls.items():
                loads.append(run_load(plan_queries(stack, each, seconds)))
    rate, baseline = (median(load.rate for load in loads) for loads in (ours, theirs))
    p95, baseline_p95 = (median(percentile(load.latencies, 95) for load in loads) for loads in (ours, theirs))
    return [
        Row(
            what=f"POST /mastery/query, {CLIENTS} clients",
            measured=f"{rate:,.0f}/s, p95 {p95 * 1000:.0f} ms",
            baseline=f"{baseline:,.0f}/s, p95 {baseline_p95 * 1000:.0f} ms\nbare Flask + JWT + HGETALL",
            ratio=f"{rate / baseline:.0%}",
            target=f"≥ {TARGET_SHARE:.0%}, p95 < {TARGET_P95 * 1000:.0f} ms",
            met=rate >= TARGET_SHARE * baseline and p95 < TARGET_P95,
        )
    ]


def fill(stack: Stack, days: int = DAYS) -> None:
    """Create students with daily activity until yesterday, a weekly quiz, and a submission every other week."""
    chance, now = Random(3), stack.engine.clock()
    for age in range(days, 0, -1):
        moment = noon(now.date() - timedelta(days=age))
        kinds = [Kind.ACTIVITY] + [Kind.QUIZ] * (age % 7 == 0) + [Kind.COMPLETION, Kind.QUALITY] * (age % 14 == 0)
        events = [event(chance, _student(number), moment, kind) for number in range(STUDENTS) for kind in kinds]
        record_events(events, stores=stack.engine.mastery, now=now)


def _student(number: int) -> str:
    return f"student-{number}"


def plan_queries(stack: Stack, url: str, seconds: float, clients: int = CLIENTS) -> Plan:
    """Plan a query of each student in turn."""
    students = [_student(number) for number in range(STUDENTS)]
    callers = ((student, stack.token(Role.STUDENT, TENANT, student)) for student in students)
    return plan_posts(url, "/mastery/query", callers, clients, seconds)


@contextmanager
def served(stack: Stack, application: str, **variables: str) -> Iterator[str]:
    """Run an application on the stack's Valkey with the engine's gunicorn settings. Yields its URL."""
    port = claim_port()
    settings = stack.engine.settings
    environment = {
        **stack.environment,
        "MASTERY_REDIS_URL": settings.redis_url,
        "MASTERY_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "MASTERY_HTTP_PORT": str(port),
        **variables,
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.server", application]
    with (stack.folder.parent / f"{port}.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
    url = f"http://{settings.http_host}:{port}"
    try:
        wait_for(lambda: _listens(url), READY_SECONDS)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()


def _listens(url: str) -> bool:
    try:
        return requests.post(f"{url}/mastery/query", timeout=5).status_code == 401
    except requests.RequestException:
        return False
