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

COUNT = 9


def query(number: int = 0, *, days_ago: float = 0, who: str = "kim") -> Entry:
    """A query of a student's mastery."""
    moment = NOW - timedelta(days=days_ago)
    actor = Actor("admin", who)
    return entry(moment, Channel.API, actor, "mastery.query", whose=["ab" * 12], correlation_id=f"c-{number}")


def another(engine: Engine) -> AuditTrail:
    """The trails as seen by another process, without the heads that this one remembers."""
    return AuditTrail(engine.redis, engine.settings.key_prefix, engine.settings.audit_key, engine.settings.audit_key_previous)


def fill(engine: Engine, count: int, trail: str = "t") -> Head:
    """Append this many entries; returns the head."""
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
    """Replace the records of a stream, as anybody who may write to Redis can."""
    changed = change(records(engine, trail))
    engine.redis.delete(stream(engine, trail))
    for fields in changed:
        put(engine, fields, trail=trail)


def put(engine: Engine, fields: dict[bytes, bytes], *, record_id: str = "*", trail: str = "t") -> None:
    engine.redis.xadd(stream(engine, trail), cast("dict[Any, Any]", fields), id=record_id)


def remove(*places: int) -> Callable[[Engine], object]:
    return lambda engine: engine.redis.xdel(stream(engine), *(ids(engine)[place] for place in places))


def swap(engine: Engine) -> None:
    def change(all_: list[dict[bytes, bytes]]) -> list[dict[bytes, bytes]]:
        all_[3], all_[5] = all_[5], all_[3]
        return all_

    rewrite(engine, change)


def alter(engine: Engine) -> None:
    def change(all_: list[dict[bytes, bytes]]) -> list[dict[bytes, bytes]]:
        all_[4][b"entry"] = all_[4][b"entry"].replace(b"kim", b"lee")
        return all_

    rewrite(engine, change)


def insert(engine: Engine) -> None:
    rewrite(engine, lambda all_: [*all_[:4], {**all_[3], b"mac": bytes(32)}, *all_[4:]])


def exchange(engine: Engine) -> None:
    """Replace this trail by that of another tenant."""
    fill(engine, COUNT, "u")
    for part in ("", "-head"):
        engine.redis.rename(f"{stream(engine, 'u')}{part}", f"{stream(engine)}{part}")


def set_head(engine: Engine, head: Head) -> None:
    """Write the head, like an attacker who wants the trail to end there."""
    engine.redis.delete(f"{stream(engine)}-head")
    if head.sequence:
        engine.redis.hset(f"{stream(engine)}-head", mapping={"sequence": head.sequence, "mac": head.mac})


def roll_head_back(engine: Engine) -> None:
    engine.redis.hset(f"{stream(engine)}-head", mapping={"sequence": 6, "mac": records(engine)[5][b"mac"]})


def trim_by_hand(engine: Engine) -> None:
    fields = records(engine)[3]
    engine.redis.xtrim(stream(engine), minid=ids(engine)[4], approximate=False)
    engine.redis.hset(f"{stream(engine)}-anchor", mapping={"sequence": 4, "mac": fields[b"mac"], "seal": fields[b"mac"]})


def go_on_without_a_head(engine: Engine) -> None:
    engine.redis.delete(f"{stream(engine)}-head")
    another(engine).append("t", query())


ATTACKS: dict[str, tuple[Callable[[Engine], object], str]] = {
    "the first removed": (remove(0), "entry 1 is missing, before"),
    "one in the middle removed": (remove(4), "entry 5 is missing, before"),
    "several removed": (remove(2, 3, 6), "entries 3 to 4 are missing, before"),
    "the newest removed": (remove(COUNT - 1), "the newest entry 9 is missing"),
    "the newest three removed": (remove(-3, -2, -1), "the newest entries 7 to 9 are missing"),
    "all removed": (remove(*range(COUNT)), "the newest entries 1 to 9 are missing"),
    "two exchanged": (swap, "entry 4 ("),
    "one altered": (alter, "the record in the place of entry 5 ("),
    "one inserted": (insert, "the record in the place of entry 5 ("),
    "a forged one added": (
        lambda engine: engine.redis.xadd(stream(engine), {"entry": "{", "foreign": "x"}),
        "the record in the place of entry 10 (",
    ),
    "another tenant's": (exchange, "the record in the place of entry 1 ("),
    "the head deleted": (lambda engine: engine.redis.delete(f"{stream(engine)}-head"), "the head, which says where"),
    "the head deleted, and written on": (go_on_without_a_head, "entry 1 ("),
    "the head set back": (roll_head_back, "the head was set back to entry 6; the trail goes on to entry 9"),
    "the head broken": (lambda engine: engine.redis.hset(f"{stream(engine)}-head", "mac", "x"), "the head, which says where"),
    "the head of another type": (lambda engine: engine.redis.set(f"{stream(engine)}-head", "x"), "the head, which says where"),
    "the stream deleted": (lambda engine: engine.redis.delete(stream(engine)), "the newest entries 1 to 9 are missing"),
    "the stream of another type": (
        lambda engine: engine.redis.set(stream(engine), "x"),
        "the newest entries 1 to 9 are missing",
    ),
    "the anchor of another type": (lambda engine: engine.redis.set(f"{stream(engine)}-anchor", "x"), "the anchor, which says"),
    "trimmed by hand": (trim_by_hand, "the anchor, which says up to where entries were trimmed, was forged"),
    "everything deleted": (
        lambda engine: engine.redis.delete(stream(engine), f"{stream(engine)}-head", f"{stream(engine)}-anchor"),
        "the trail is gone",
    ),
}
