"""Trails in Redis for tests that write to them and tamper with them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from app.audit.chain import Head
from app.audit.entry import Actor, Channel, Entry, entry
from app.audit.trail import AuditTrail
from app.audit.verify_trail import TrailVerdict, verify_trail
from app.bootstrap import Engine
from tests.conftest import NOW


def query(number: int = 0, *, days_ago: float = 0, who: str = "kim") -> Entry:
    """Somebody asked for a student's mastery."""
    moment = NOW - timedelta(days=days_ago)
    actor = Actor("admin", who)
    return entry(moment, Channel.API, actor, "mastery.query", whose=["ab" * 12], correlation_id=f"c-{number}")


def another(engine: Engine) -> AuditTrail:
    """The trails as another process sees them: it knows nothing of what this one remembers."""
    return AuditTrail(engine.redis, engine.settings.key_prefix, engine.settings.audit_key, engine.settings.audit_key_previous)


def fill(engine: Engine, count: int, trail: str = "t") -> Head:
    """So many entries; returns the head."""
    engine.audit.append(trail, *map(query, range(count)))
    head = engine.audit.ends(trail).head
    assert head is not None
    return head


def stream(engine: Engine, trail: str = "t") -> str:
    return f"{engine.settings.key_prefix}:{{{trail}}}:audit"


def verify(engine: Engine, trail: str = "t", expected: Head | None = None) -> TrailVerdict:
    return verify_trail(trail, trails=engine.audit, expected=[expected] if expected else [])


def found(engine: Engine, trail: str = "t", expected: Head | None = None) -> list[str]:
    return verify(engine, trail, expected).findings


def records(engine: Engine, trail: str = "t") -> list[dict[bytes, bytes]]:
    """The fields of each record."""
    return [dict(fields) for _, fields in engine.audit.oldest_first(trail)]


def ids(engine: Engine, trail: str = "t") -> list[str]:
    return [record_id for record_id, _ in engine.audit.oldest_first(trail)]


def rewrite(engine: Engine, change: Callable[[list[dict[bytes, bytes]]], list[dict[bytes, bytes]]], trail: str = "t") -> None:
    """Put other records in the place of those in a stream, as somebody can who may write to Redis."""
    changed = change(records(engine, trail))
    engine.redis.delete(stream(engine, trail))
    for fields in changed:
        put(engine, fields, trail=trail)


def put(engine: Engine, fields: dict[bytes, bytes], *, record_id: str = "*", trail: str = "t") -> None:
    engine.redis.xadd(stream(engine, trail), cast("dict[Any, Any]", fields), id=record_id)
