"""A worker publishes the statistics of cohorts, and says in the audit trail of how many students."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.audit.entry import SystemAction
from app.bootstrap import Engine
from app.mastery.rankings import Metric
from tasks.analytics import publish
from tests.integration.conftest import FixedTimeApi
from tests.integration.test_audit_tasks import entries, send
from tests.learning_events import completion
from tests.stack import Stack, wait_for

SECONDS = 60.0


def enrol(engine: Engine, tenant: str, cohort: str, students: int, *, days_ago: int = 0) -> None:
    """Evidence of these students, scored this many days ago."""
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    at = (moment - timedelta(minutes=1)).isoformat()
    api = FixedTimeApi(replace(engine, clock=lambda: moment))
    api.record(
        *(
            completion(tenant_id=tenant, student_id=f"{cohort}-{number}", cohort_id=cohort, timestamp=at)
            for number in range(students)
        )
    )


def published(engine: Engine, tenant: str, cohort: str) -> int | None:
    """How many values of mastery are published."""
    found = engine.published.read(tenant, cohort, {Metric.MASTERY: None})
    return None if found is None else found.rankings[Metric.MASTERY].students


def test_a_worker_publishes(stack: Stack, tenant: str) -> None:
    """Of every tenant whose scores are of today, each cohort with five students."""
    engine, stale = stack.engine, f"{tenant}-stale"
    enrol(engine, tenant, "five", 5)
    enrol(engine, tenant, "four", 4)
    enrol(engine, stale, "five", 5, days_ago=1)
    send(stack, publish)
    wait_for(lambda: {each.action for each in entries(engine, tenant)} == {SystemAction.PUBLISH_STATISTICS}, SECONDS)
    assert [published(engine, tenant, cohort) for cohort in ("five", "four")] == [5, None]
    assert published(engine, stale, "five") is None
    found = entries(engine, tenant)  # one, or two if the stack's beat sent the task, too
    assert {(each.role, each.who) for each in found} == {("system", "worker")}
    assert sum(int(each.details["students"]) for each in found) == 9
