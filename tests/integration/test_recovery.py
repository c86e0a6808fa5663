"""Failed events, lost tasks and a lost broker are recovered: on a whole stack, with real workers."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from app.events.chunk import Chunk, SourceRecord
from app.events.dead_letter import ErrorType
from app.events.event_totals import Totals
from consumers.kafka.clients import producer
from tests.learning_events import activity
from tests.stack import Stack, wait_for

SECONDS = 60.0


def event(tenant: str, student: str) -> dict[str, Any]:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    return activity(tenant_id=tenant, student_id=student, timestamp=yesterday)


def test_an_event_that_cannot_be_recorded_does_not_stop_its_neighbours(stack: Stack, tenant: str) -> None:
    """Through Kafka, worker and retries: the others are recorded at once, the failing one is dead-lettered in the end."""
    engine = stack.engine
    engine.redis.set(f"{engine.settings.key_prefix}:{{{tenant}}}:student:s-spoilt", "not a hash")
    before = engine.ledger.counts().dead_letters.get(ErrorType.PROCESSING, 0)
    out = producer(engine.settings)
    for student in ("s-1", "s-spoilt", "s-2"):
        out.produce(engine.settings.events_topic, json.dumps(event(tenant, student)).encode())
    assert out.flush(10) == 0
    wait_for(lambda: engine.event_totals.of(tenant) == Totals(applied=2), SECONDS)
    wait_for(lambda: engine.ledger.counts().dead_letters.get(ErrorType.PROCESSING, 0) == before + 1, SECONDS)
    wait_for(lambda: engine.ledger.letters_waiting() == 0, SECONDS)
    assert engine.event_totals.of(tenant) == Totals(applied=2)
    assert "s-spoilt" not in stack.log()


def test_a_chunk_whose_task_was_lost_is_recorded_all_the_same(stack: Stack, tenant: str) -> None:
    """A worker died after it popped the message (kombu#305), or the bridge before it sent one: a sweep sends it again."""
    engine = stack.engine
    records = [SourceRecord(0, 0, json.dumps(event(tenant, "s-1")).encode())]
    accepted = engine.ledger.accept(Chunk("mastery.events", datetime.now(UTC), records))
    assert accepted.chunk_id is not None
    # As if this had happened a while ago, so that the test need not wait.
    due = f"{engine.settings.key_prefix}:{{.events}}:due"
    engine.redis.zadd(due, {str(accepted.chunk_id): 0})
    wait_for(lambda: engine.event_totals.of(tenant) == Totals(applied=1), SECONDS)
    wait_for(lambda: engine.redis.zscore(due, str(accepted.chunk_id)) is None, SECONDS)


def test_a_chunk_without_a_task_is_found_at_once(stack: Stack, tenant: str) -> None:
    """Its task is in no queue and held by no worker, as after a lost reply of Redis: it need not be overdue."""
    records = [SourceRecord(0, 0, json.dumps(event(tenant, "s-1")).encode())]
    began = time.monotonic()
    stack.engine.ledger.accept(Chunk("mastery.events", datetime.now(UTC), records))
    wait_for(lambda: stack.engine.event_totals.of(tenant) == Totals(applied=1), SECONDS)
    assert time.monotonic() - began < stack.settings.chunk_overdue_seconds
