"""Recording chunks on the real store, with records that really fail and attempts that really stop early."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.bootstrap import Engine, bootstrap
from app.clock import day_number
from app.config.settings import load_settings
from app.errors import DependencyUnavailable, UnexpectedFailure
from app.events.chunk import Chunk, SourceRecord
from app.events.dead_letter import ErrorType
from app.events.event import decode_event
from app.events.event_totals import DONE_SECONDS, EventTotals, Totals
from app.events.ledger import Attempt, ChunkId
from app.events.record_chunk import MAX_DEATHS, record_chunk
from app.events.record_events import evidence, record_evidence
from app.mastery.score_store import Score
from cli.stack.embedded import embedded
from tests.conftest import NOW
from tests.learning_events import activity

MAX_FAILURES = 3


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Engine]:
    """An engine on its own Valkey, for tests that break it."""
    with embedded("valkey", str(tmp_path), "0") as url:
        engine = bootstrap(load_settings({"MASTERY_REDIS_URL": url}), clock=lambda: NOW)
        yield engine
        engine.redis.close()


def accept(engine: Engine, *events: dict[str, Any] | bytes, source: str = "mastery.events") -> ChunkId:
    values = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    records = [SourceRecord(2, offset, value, replays=1) for offset, value in enumerate(values)]
    chunk_id = engine.ledger.accept(Chunk(source, NOW, records)).chunk_id
    assert chunk_id is not None
    return chunk_id


def attempt(
    engine: Engine,
    chunk_id: ChunkId,
    *,
    failures: int = 0,
    task: str = "",
    retries: int = 0,
    totals: EventTotals | None = None,
) -> list[ChunkId]:
    return record_chunk(
        chunk_id,
        Attempt(task or uuid4().hex, retries),
        ledger=engine.ledger,
        letter_keys=engine.letter_keys,
        stores=engine.mastery,
        totals=totals or engine.event_totals,
        now=engine.clock(),
        failures=failures,
        max_failures=MAX_FAILURES,
    )


def die(engine: Engine, chunk_id: ChunkId, times: int) -> None:
    """Begin the same attempt this many more times without finishing it, like a process that is killed."""
    for _ in range(times + 1):
        engine.ledger.begin(chunk_id, Attempt("dying", 0))


def spoil(engine: Engine, student: str) -> None:
    """Make a student's record invalid, so that nothing can be merged into it."""
    engine.redis.set(f"{engine.settings.key_prefix}:{{t-1}}:student:{student}", "not a hash")


def students(*names: str) -> list[dict[str, Any]]:
    return [activity(student_id=name) for name in names]


def test_a_chunk_is_recorded_and_gone(engine: Engine) -> None:
    """Only the facts are left."""
    chunk_id = accept(engine, *students("s-1", "s-2"))
    assert attempt(engine, chunk_id) == []
    assert engine.event_totals.of("t-1") == Totals(applied=2)
    assert engine.ledger.counts() == (2, {}, 0)
    assert not engine.redis.exists(f"{engine.settings.key_prefix}:{{.events}}:attempts")
    for key in engine.redis.scan_iter(f"{engine.settings.key_prefix}:*:chunk:*"):
        assert engine.redis.ttl(key) <= DONE_SECONDS


def test_a_chunk_that_comes_again_changes_nothing(engine: Engine) -> None:
    """Its task was delivered twice."""
    chunk_id = accept(engine, *students("s-1"))
    attempt(engine, chunk_id)
    assert attempt(engine, chunk_id) == []
    assert engine.event_totals.of("t-1") == Totals(applied=1)


def test_an_event_that_fails_goes_on_by_itself(engine: Engine) -> None:
    """The others are recorded; it is retried, and then becomes a dead letter with the reason."""
    spoil(engine, "s-2")
    chunk_id = accept(engine, *students("s-1", "s-2", "s-3"))
    (lone,) = attempt(engine, chunk_id)
    assert engine.event_totals.of("t-1") == Totals(applied=2)
    for failures in range(MAX_FAILURES):
        with pytest.raises(UnexpectedFailure, match="WRONGTYPE"):
            attempt(engine, lone, failures=failures, task="t", retries=failures)
    assert engine.ledger.counts() == (3, {}, 1)
    assert attempt(engine, lone, failures=MAX_FAILURES, task="t", retries=MAX_FAILURES) == []
    assert engine.ledger.counts() == (3, {ErrorType.PROCESSING: 1}, 0)
    ((_, letter),) = engine.ledger.waiting_letters(10)
    value = json.loads(letter.value)
    assert (value["error_type"], value["retry_count"]) == ("processing_error", MAX_FAILURES)
    assert "WRONGTYPE" in value["error_message"]
    assert "s-2" not in str(letter)
    assert letter.key == f"t-1/{engine.audit.pseudonym('t-1', 's-2')}".encode()
    assert dict(letter.headers) == {
        "dlq.topic": "mastery.events",
        "dlq.partition": "2",
        "dlq.offset": "1",
        "dlq.error_type": "processing_error",
        "dlq.replay_count": "1",
        "dlq.id": dict(letter.headers)["dlq.id"],
    }
    assert engine.event_totals.of("t-1") == Totals(applied=2)


def test_an_event_that_fails_for_a_while_is_recorded_in_the_end(engine: Engine) -> None:
    """The cause was fixed between two attempts."""
    spoil(engine, "s-1")
    (lone,) = attempt(engine, accept(engine, *students("s-1", "s-2")))
    engine.redis.delete(f"{engine.settings.key_prefix}:{{t-1}}:student:s-1")
    assert attempt(engine, lone, failures=1) == []
    assert engine.event_totals.of("t-1") == Totals(applied=2)
    assert engine.ledger.counts() == (2, {}, 0)


def test_a_lone_event_that_heals_is_counted(engine: Engine) -> None:
    """The failed attempt counted nothing."""
    spoil(engine, "s-1")
    chunk_id = accept(engine, *students("s-1"))
    with pytest.raises(UnexpectedFailure):
        attempt(engine, chunk_id)
    engine.redis.delete(f"{engine.settings.key_prefix}:{{t-1}}:student:s-1")
    assert attempt(engine, chunk_id, failures=1) == []
    assert engine.event_totals.of("t-1") == Totals(applied=1)


def test_a_second_task_of_a_chunk_does_not_count_again(engine: Engine) -> None:
    """One task stalled after it began, another recorded and finished the chunk, then the first one continued."""
    chunk_id = accept(engine, *students("s-1", "s-2"))
    begun = engine.ledger.begin(chunk_id, Attempt("stalled", 0))
    assert begun is not None
    attempt(engine, chunk_id)
    first_day = day_number(NOW) - engine.mastery.facts.retention_days + 1
    found = [evidence(*decode_event(record.value, NOW), first_day) for record in begun.chunk.records]
    record_evidence(found, stores=engine.mastery, now=NOW, chunk_id=chunk_id)
    assert engine.event_totals.of("t-1") == Totals(applied=2)


def test_a_full_redis_is_an_outage(own_redis: Engine) -> None:
    """The memory was full between facts and scores: the attempt fails as a whole, and the next one repairs it."""
    engine = own_redis
    chunk_id = accept(engine, *students("s-1"))
    found = evidence(*decode_event(json.dumps(activity(student_id="s-2")).encode(), NOW), 0)
    assert found.observation is not None
    engine.mastery.facts.merge("t-1", {"s-2": [found.observation]}, day_number(NOW))
    engine.redis.config_set("maxmemory", 1)
    with pytest.raises(DependencyUnavailable):
        engine.mastery.scores.put("t-1", [Score("s-2", 1, day_number(NOW), 0.5)], NOW)
    with pytest.raises(DependencyUnavailable):
        attempt(engine, chunk_id)
    engine.redis.config_set("maxmemory", 0)
    assert attempt(engine, chunk_id) == []
    assert engine.event_totals.of("t-1") == Totals(applied=2)


def test_a_chunk_that_was_lost_after_it_was_begun_is_left_alone(engine: Engine) -> None:
    """Redis crashed and is back before anybody noticed; the bridge accepts the records again."""
    chunk_id = accept(engine, *students("s-1"))
    begin = engine.event_totals.begin_chunk

    class Lossy(EventTotals):
        def begin_chunk(self, tenants: Iterable[str], chunk_id: str) -> None:
            begin(tenants, chunk_id)
            engine.redis.delete(*engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"))

    totals = Lossy(engine.redis, engine.settings.key_prefix)
    assert attempt(engine, chunk_id, totals=totals) == []
    assert engine.event_totals.of("t-1") == Totals()


def test_bytes_that_are_no_event_do_not_stop_the_others(engine: Engine) -> None:
    """This would be a bug. The reason quotes no content."""
    (lone,) = attempt(engine, accept(engine, b"junk", *students("s-1")))
    assert engine.event_totals.of("t-1") == Totals(applied=1)
    attempt(engine, lone, failures=MAX_FAILURES)
    ((_, letter),) = engine.ledger.waiting_letters(10)
    assert json.loads(letter.value)["error_message"] == "InvalidInput; the worker's log has the cause"
    assert letter.key is None


def test_a_chunk_that_kills_its_process_is_taken_apart(engine: Engine) -> None:
    """Every event continues alone, and is counted once; one that kills again becomes a dead letter."""
    chunk_id = accept(engine, *students("s-1", "s-2"))
    die(engine, chunk_id, MAX_DEATHS)
    first, second = attempt(engine, chunk_id)
    assert attempt(engine, first) == []
    die(engine, second, MAX_DEATHS)
    assert attempt(engine, second) == []
    assert engine.event_totals.of("t-1") == Totals(applied=1)
    assert engine.ledger.counts() == (2, {ErrorType.PROCESSING: 1}, 0)


def test_what_a_chunk_recorded_before_its_process_died_is_not_taken_apart(engine: Engine) -> None:
    """It was recorded and counted, so it is only finished."""
    chunk_id = accept(engine, *students("s-1", "s-2"))
    begun = engine.ledger.begin(chunk_id, Attempt("first", 0))
    assert begun is not None
    # The attempt was complete for the store; then the process died, repeatedly.
    copy = accept(engine, *[record.value for record in begun.chunk.records])
    attempt(engine, copy)
    engine.event_totals.begin_chunk(["t-1"], chunk_id)
    engine.redis.setbit(f"{engine.settings.key_prefix}:{{t-1}}:chunk:{chunk_id}", 0, 1)
    die(engine, chunk_id, MAX_DEATHS)
    assert attempt(engine, chunk_id) == []
    assert engine.event_totals.of("t-1") == Totals(applied=2)
    assert engine.ledger.counts().in_flight == 0


def test_events_that_kill_whoever_looks_at_them_are_dead_lettered_unseen(engine: Engine) -> None:
    """Even splitting the chunk killed: its events continue alone without being decoded, and are then dead-lettered."""
    chunk_id = accept(engine, *students("s-1"))
    die(engine, chunk_id, 2 * MAX_DEATHS)
    assert attempt(engine, chunk_id) == []
    ((_, letter),) = engine.ledger.waiting_letters(10)
    assert json.loads(letter.value)["error_message"] == f"the process that recorded it died {2 * MAX_DEATHS} times"
    assert engine.event_totals.of("t-1") == Totals()


def test_a_chunk_is_judged_by_the_day_it_came(engine: Engine) -> None:
    """Its oldest retained day counts however late it is recorded; the day before does not."""
    old = activity(student_id="s-1", timestamp="2026-07-31T12:00:00Z")
    chunk_id = accept(engine, old, activity(student_id="s-2"))
    assert attempt(engine, chunk_id) == []
    assert engine.event_totals.of("t-1") == Totals(applied=2)
    older = activity(student_id="s-3", timestamp="2026-07-30T12:00:00Z")
    attempt(engine, accept(engine, older))
    assert engine.event_totals.of("t-1") == Totals(applied=2, expired=1)


def test_students_beyond_the_quota(redis_url: str) -> None:
    """Their events are dead-lettered at once, and can be replayed; those of others continue. Each tenant has its quota."""
    names = {"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"}
    engine = bootstrap(load_settings(names | {"MASTERY_QUOTA_STUDENTS": "5, t-1=2"}), clock=lambda: NOW)
    events = [activity(student_id=f"s-{number}", tenant_id=tenant) for tenant in ("t-1", "t-2") for number in range(4)]
    assert attempt(engine, accept(engine, *events)) == []
    assert (engine.event_totals.of("t-1"), engine.event_totals.of("t-2")) == (Totals(applied=2), Totals(applied=4))
    letters = [each.letter for each in engine.ledger.waiting_letters(10)]
    pseudonyms = [engine.audit.pseudonym("t-1", student) for student in ("s-2", "s-3")]
    assert [f"t-1/{pseudonym}".encode() for pseudonym in pseudonyms] == [letter.key for letter in letters]
    assert {ErrorType.PROCESSING} == {letter.error_type for letter in letters}
    assert all(b"its quota allows; replay this when there is room" in letter.value for letter in letters)
    assert attempt(engine, accept(engine, activity(student_id="s-1"), activity(student_id="s-2"))) == []
    assert engine.event_totals.of("t-1") == Totals(applied=3)
    assert engine.mastery.facts.beyond_quota("t-1", ["s-0", "s-2", "s-1"]) == {"s-2"}
    assert engine.mastery.facts.beyond_quota("t-2", ["s-4", "s-0", "s-5", "s-4"]) == {"s-5"}
    engine.redis.close()
