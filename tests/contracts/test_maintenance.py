"""Maintenance tasks on a real broker, with slices of one step each: they send themselves again until everything is done."""

import subprocess
import sys
from datetime import timedelta

from app.audit.entry import WORKER, Channel, SystemAction, entry
from app.audit.read_trail import EntryFilter, read_trail
from app.bootstrap import Engine, bootstrap
from app.clock import day_number
from app.mastery.evidence import ACTIVITY, QUIZ
from app.mastery.rankings import Metric
from app.predictions.current_forecast import current_forecast
from tests.contracts.conftest import merge, observation
from tests.stack import without_settings

SECONDS = 60.0
# Runs the tasks as the worker does, each as often as it is sent; prints the number of runs of each.
RUNS = """
from app.audit import trim_trail
from tasks import audit, mastery, slices
from tasks.celery import app, engine

slices.SLICE_SECONDS, mastery.REFRESH_BATCH = 0.0, 2
trim_trail.TRIM_AT_ONCE = audit.TRIM_AT_ONCE = 3
queue = f"{engine().settings.key_prefix}:celery:maintenance"
for task in (mastery.refresh, audit.trim):
    runs = 1
    task()
    while engine().redis.lpop(queue):
        runs += 1
        task()
    print(runs)
"""

SCORES = """
from tasks import predictions, slices
from tasks.celery import app, engine

slices.SLICE_SECONDS, predictions.SCORE_BATCH = 0.0, 1
runs = 1
predictions.score()
while engine().redis.lpop(f"{engine().settings.key_prefix}:celery:maintenance"):
    runs += 1
    predictions.score()
print(runs)
"""

PUBLISHES = """
from tasks import analytics, slices
from tasks.celery import app, engine

slices.SLICE_SECONDS = 0.0
runs = 1
analytics.publish()
while engine().redis.lpop(f"{engine().settings.key_prefix}:celery:maintenance"):
    runs += 1
    analytics.publish()
print(runs)
"""


def run(script: str, engine: Engine) -> tuple[list[str], str]:
    """What a script prints on the engine's server, and its errors."""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=without_settings()
        | {"MASTERY_REDIS_URL": engine.settings.redis_url, "MASTERY_KEY_PREFIX": engine.settings.key_prefix},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.stdout.split(), ended.stderr


def test_forecasts_are_scored_in_slices(engine: Engine) -> None:
    """Those of eight and of nine days ago, one step each; the last run finds none. The audit trail has the numbers."""
    now = bootstrap(engine.settings).clock()
    for days in (8, 9):
        merge(engine, observation(1, day_number(now) - 20, QUIZ, 8, 10), student=f"s-{days}", today=day_number(now) - days)
        current_forecast("t", f"s-{days}", using=engine.forecasting, now=now - timedelta(days=days))
    assert run(SCORES, engine) == (["3"], "")
    (numbers,) = [engine.redis.hgetall(f"{engine.settings.key_prefix}:{{t}}:accuracy:c-1")]
    assert [value.split()[0] for value in numbers.values()] == [b"1", b"1"]
    found = read_trail("t", EntryFilter(action="predictions.score"), trails=engine.audit, limit=10, cursor="").entries
    assert [each.details for each in found] == [{"forecasts": 1}] * 2


def test_statistics_are_published_in_slices(engine: Engine) -> None:
    """Two cohorts, one step each; the last run finds none. The audit trail has the numbers."""
    today = day_number(bootstrap(engine.settings).clock())
    for number in range(11):
        cohort = f"c-{number % 2}"
        merge(engine, observation(1, today, QUIZ, number, 11, cohort), student=f"s-{number}", today=today)
    assert run(PUBLISHES, engine) == (["3"], "")
    assert all(engine.published.read("t", cohort, {Metric.MASTERY: None}) for cohort in ("c-0", "c-1"))
    found = read_trail("t", EntryFilter(action="statistics.publish"), trails=engine.audit, limit=10, cursor="").entries
    assert [each.details for each in found] == [{"students": 5}, {"students": 6}]


def test_they_are_sent_again_until_all_is_done(engine: Engine) -> None:
    """Five students in batches of two, eight entries in batches of three; each last run finds nothing left."""
    long_ago = bootstrap(engine.settings).clock() - timedelta(days=engine.settings.audit_retention_days + 1)
    day = day_number(long_ago)
    for number in range(5):
        merge(engine, observation(1, day, ACTIVITY), student=f"s-{number}", today=day)
    for _ in range(8):
        engine.audit.append("t", entry(long_ago, Channel.TASK, WORKER, SystemAction.REFRESH_MASTERY, details={}))
    assert run(RUNS, engine) == (["4", "3"], "")
    assert engine.mastery.scores.stale_students("t", 10**6, 10) == []
