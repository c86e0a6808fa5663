"""The metrics of queues: how many tasks wait, and for how long."""

from datetime import UTC, datetime, timedelta

from tests.integration.conftest import LiveApi
from tests.integration.test_beat_readiness import held
from tests.integration.test_bridge_operations import metrics
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

SECONDS = 60.0
QUEUE = "interactive"
TASKS, AGE, RESERVED = (
    f"mastery_queue_tasks[{QUEUE}]",
    f"mastery_queue_oldest_age_seconds[{QUEUE}]",
    "mastery_tasks_unacknowledged",
)


def test_a_backlog_without_workers(stack: Stack, live_api: LiveApi) -> None:
    """It is measured in Redis, so it is seen when no worker does anything; and it ends when they do."""
    event = quiz(student_id="s-1", timestamp=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    del event["tenant_id"]
    assert live_api.post("/mastery/ingest", {"events": [event]}).status_code == 202
    wait_for(lambda: live_api.post("/mastery/query", {"student_id": "s-1"}).status_code == 200, SECONDS)
    wait_for(lambda: metrics(stack)[TASKS] == 0, SECONDS)
    with held(stack, "worker"):
        for _ in range(5):
            answer = live_api.post("/mastery/calculate", {"student_id": "s-1"}, {"Prefer": "respond-async"})
            assert answer.status_code == 202
        # The suspended worker may have taken one, with the blocking call in which it was stopped.
        assert metrics(stack)[TASKS] in {4, 5}
        wait_for(lambda: metrics(stack)[AGE] >= 2, SECONDS)
    wait_for(lambda: (metrics(stack)[TASKS], metrics(stack)[AGE]) == (0, 0), SECONDS)


def test_every_queue_has_metrics(stack: Stack) -> None:
    """Also an empty one: a missing series would look like a missing bridge."""
    queues = ("events", "events-bulk", "interactive", "maintenance", "batch-high", "batch-normal", "batch-low")
    found = metrics(stack)
    for queue in queues:
        assert {f"mastery_queue_tasks[{queue}]", f"mastery_queue_oldest_age_seconds[{queue}]"} <= found.keys()
    assert found[RESERVED] >= 0
