"""Erasures for tests: events, requests, and runs with stores that a test gives."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import json

from app.bootstrap import Engine
from app.events.event import decode_event
from app.events.record_events import RecordedEvents, record_events
from app.privacy.erase_students import Step, Stores, request_erasures, run_erasures
from app.privacy.erasure import PendingErasure
from app.pseudonyms import WHOLE_TENANT
from app.storage.erased import Erased
from tests.learning_events import quiz

TENANT = "t"


def now() -> datetime:
    return datetime.now(UTC)


def event(student: str, *, ago: float = 60, **fields: Any) -> bytes:
    """An event from some seconds ago."""
    timestamp = (now() - timedelta(seconds=ago)).isoformat()
    return json.encode(quiz(student_id=student, timestamp=timestamp, **{"tenant_id": TENANT, **fields}))


def record(engine: Engine, *events: bytes) -> RecordedEvents:
    """Record events as a worker does, now."""
    return record_events([decode_event(each, now()) for each in events], stores=engine.mastery, now=now())


def request(engine: Engine, *students: str, tenant: str = TENANT) -> list[PendingErasure]:
    named = {engine.audit.pseudonym(tenant, student): student for student in students}
    return request_erasures(
        tenant, named, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
    )


def run(engine: Engine, *others: Callable[..., Erased]) -> list[Step]:
    """Run the erasures of the tenant once, with these other stores."""
    return list(start(engine, *others))


def start(engine: Engine, *others: Callable[..., Erased], audit: Callable[[Step], None] = lambda _: None) -> Iterator[Step]:
    return run_erasures(TENANT, stores=stores(engine, *others), erasures=engine.erasures, audit=audit)


def stores(engine: Engine, *others: Callable[..., Erased]) -> Stores:
    return Stores(
        engine.mastery.facts,
        engine.ledger,
        {f"store {n}": Other(each) for n, each in enumerate(others)},
        engine.outbox.announce_erased,
        (engine.mastery.scores, engine.student_keys),
    )


def dump(engine: Engine, key: bytes) -> bytes:
    """The serialized value of a key."""
    return engine.redis.dump(key) or b""


class Other:
    """A store that does what the test says."""

    def __init__(self, erase: Callable[..., Erased]) -> None:
        self.erase = erase


def announced(engine: Engine) -> list[str]:
    waiting = engine.outbox.read([TENANT], 100).get(TENANT, [])
    return [erasure.student_id for each in waiting for erasure in each.erasures]


def request_all(engine: Engine) -> PendingErasure:
    (pending,) = request_erasures(
        TENANT, {WHOLE_TENANT: ""}, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
    )
    return pending
