"""What waits for longer than the retention is removed, in bounded steps, on every server."""

from collections import Counter
from datetime import timedelta
from typing import Any, cast

import pytest

from app.bootstrap import Engine
from app.clock import Day, day_number, microseconds
from app.health.malformed_messages import KEPT_SECONDS
from app.health.removal_counts import Removed
from app.mastery.evidence import QUIZ
from app.mastery.fact_store import ERASURES_PER_CALL
from app.privacy import remove_leftovers as leftovers
from app.privacy.remove_leftovers import LeftoverStores, remove_leftovers
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation
from tests.contracts.test_ledger import CHUNK
from tests.dead_letters import waiting_letter

RETENTION = 90


def run(engine: Engine, *, days: float) -> Counter[Removed]:
    """Remove leftovers some days after now, by the server's clock. Returns how much of each kind was removed."""
    seconds, _ = engine.redis.time()
    now = NOW.fromtimestamp(seconds, NOW.tzinfo) + timedelta(days=days)
    stores = LeftoverStores(engine.mastery, engine.outbox, engine.ledger, engine.malformed_messages)
    removed: Counter[Removed] = Counter()
    for what, count in remove_leftovers(stores, now=now):
        assert count > 0
        removed[what] += count
    return removed


def real_day(engine: Engine) -> Day:
    return day_number(NOW.fromtimestamp(engine.redis.time()[0], NOW.tzinfo))


def test_dead_letters_that_kafka_did_not_take(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait as long as evidence counts, and no longer; newer ones stay."""
    monkeypatch.setattr(leftovers, "ENTRIES_PER_STEP", 2)
    for _ in range(5):
        engine.ledger.accept(CHUNK, (waiting_letter(),))
    engine.redis.xadd(
        f"{engine.settings.key_prefix}:{{.events}}:letters", {"letter": letter_bytes(engine)}, id="9999999999999-1"
    )
    assert run(engine, days=RETENTION - 0.01) == {}
    assert run(engine, days=RETENTION + 0.01) == {Removed.DEAD_LETTERS: 5}
    assert engine.ledger.letters_waiting() == 1
    assert run(engine, days=RETENTION + 0.01) == {}


def letter_bytes(engine: Engine) -> bytes:
    reply = engine.redis.xrange(f"{engine.settings.key_prefix}:{{.events}}:letters", count=1)
    ((_, fields),) = cast("list[tuple[bytes, dict[bytes, bytes]]]", reply)
    return fields[b"letter"]


def test_changes_that_kafka_did_not_take(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that an erasure of another student has moved; those of other tenants have their own time."""
    monkeypatch.setattr(leftovers, "ENTRIES_PER_STEP", 2)
    for number in range(5):
        merge(engine, observation(number, TODAY, QUIZ, number + 1, 10))
    engine.outbox.erase("t", ["s-other"])
    for number in range(5, 8):
        merge(engine, observation(number, TODAY, QUIZ, number + 1, 10))
    waiting = sum(engine.outbox.entries(["t"]).values())
    assert waiting >= 6
    days = (NOW - NOW.fromtimestamp(engine.redis.time()[0], NOW.tzinfo)) / timedelta(days=1)  # the changes are of NOW
    assert run(engine, days=days + RETENTION - 0.01) == {}
    assert run(engine, days=days + RETENTION + 0.01) == {Removed.CHANGES: waiting}
    assert engine.outbox.entries(["t"]) == {}


def test_malformed_messages_one_by_one(engine: Engine) -> None:
    """The key expires a week after the newest message; so each is removed when it is a week old itself."""
    week = KEPT_SECONDS / 86_400
    engine.malformed_messages.set_aside("events", b"old", "is no task")
    key = f"{engine.settings.key_prefix}:{{.tasks}}:malformed"
    engine.redis.xadd(key, {"queue": "events", "reason": "is no task", "message": "new"}, id="9999999999999-1")
    assert run(engine, days=week - 0.01) == {}
    assert run(engine, days=week + 0.01) == {Removed.MALFORMED_MESSAGES: 1}
    assert [message for _, _, message in engine.malformed_messages.kept()] == [b"new"]


def test_erasures_are_forgotten_when_no_event_needs_them(engine: Engine) -> None:
    """Two days after the events before them have expired; until then such an event is refused. A later erasure stays."""
    now = NOW.fromtimestamp(engine.redis.time()[0], NOW.tzinfo)
    merge(engine, observation(1, TODAY, QUIZ, 1, 1))
    engine.mastery.facts.erase("t", {"s-1": microseconds(now)})
    name = f"{engine.settings.key_prefix}:{{t}}:erased"
    later = microseconds(now + timedelta(days=50))
    stored: dict[Any, Any] = {f"{number:024x}": "1 1" for number in range(ERASURES_PER_CALL)} | {"later": f"{later} 3"}
    engine.redis.hset(name, mapping=stored)
    assert run(engine, days=RETENTION)[Removed.ERASURES] == ERASURES_PER_CALL  # the old ones
    assert engine.redis.hlen(name) == 2
    refused = engine.mastery.facts.merge("t", {"s-1": [observation(9, real_day(engine), QUIZ, 1, 1)]}, real_day(engine) + 89)
    assert refused[0].outcomes == "e"
    assert run(engine, days=RETENTION + 1) == {}
    assert run(engine, days=RETENTION + 2.1) == {Removed.ERASURES: 1}
    assert engine.redis.hkeys(name) == [b"later"]
    expired = engine.mastery.facts.merge("t", {"s-1": [observation(9, real_day(engine), QUIZ, 1, 1)]}, real_day(engine) + 91)
    assert expired[0].outcomes == "x"


def test_evidence_expires_day_by_day(engine: Engine) -> None:
    """Each day takes its facts and its ten bytes of marks along; the last one takes the student, the cohort and the rank."""
    before = keys(engine)
    for age in range(5):
        merge(engine, observation(age, TODAY + age, QUIZ, 1, 1), today=TODAY + age)
    record = engine.mastery.facts.record_key("t", "s-1")
    marks = record.replace(":student:", ":marks:")
    for passed in range(5):
        window_end = TODAY + RETENTION - 1 + passed
        merge(engine, today=window_end)
        days = sorted(int(name) for name in engine.redis.hkeys(record) if name.isdigit())
        assert days == list(range(TODAY + passed, TODAY + 5))
        assert engine.redis.strlen(marks) == 10 * len(days)
    merge(engine, today=TODAY + RETENTION + 4)
    assert keys(engine) - before == {"tenants", "{t}:totals", "{t}:changes", "{t}:counted"}
