"""The state's Redis goes away while events arrive, and comes back: nothing is lost or dead-lettered, without an operator."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import requests

from app.events.event_totals import Totals
from cli.stack.embedded import embedded
from consumers.kafka.clients import producer
from tasks.celery import HIDDEN
from tests.learning_events import activity
from tests.stack import Stack, wait_for

SECONDS = 60.0
EVENTS = 300


def test_events_of_an_outage_are_recorded_after_it(tmp_path: Path, state_port: int, state: ExitStack, redis_url: str) -> None:
    """Queued chunks are retried until the state responds."""
    variables = {
        "MASTERY_REDIS_URL": f"redis://127.0.0.1:{state_port}/0",
        "MASTERY_BROKER_URL": redis_url,
        "MASTERY_KEY_PREFIX": f"outage-{uuid4().hex[:8]}",
        "MASTERY_REDIS_TIMEOUT_SECONDS": "0.5",
    }
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    with Stack(tmp_path / "data", **variables) as stack:
        state.close()
        out = producer(stack.engine.settings)
        for number in range(EVENTS):
            event = activity(tenant_id="t", student_id=f"s-{number % 7}", timestamp=yesterday)
            out.produce(stack.engine.settings.events_topic, json.dumps(event).encode())
        assert out.flush(10) == 0
        wait_for(lambda: "redis is unavailable" in stack.log(), SECONDS)
        with embedded("valkey", str(tmp_path / "state"), str(state_port)):
            wait_for(lambda: stack.engine.event_totals.of("t").applied == EVENTS, SECONDS)
            assert stack.engine.event_totals.of("t") == Totals(applied=EVENTS)
            assert stack.engine.ledger.counts().dead_letters == {}
            tasks = requests.get(f"{stack.running.flower_url}/api/tasks", auth=("mastery", "mastery"), timeout=10).json()
            assert {task["args"] for task in tasks.values() if task["name"] == "events.record"} == {HIDDEN}, (
                "a retry shows them"
            )
            assert stack.stop() == 0
