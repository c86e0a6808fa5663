"""On each kind of Kafka broker the bridge accepts valid records once, and dead-letters the others."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.bridge_heartbeats import BridgeState
from app.events.dead_letter import DeadLetter, ErrorType
from app.events.event import decode_event
from app.events.ledger import ChunkId
from app.events.record_events import record_events
from app.events.sealed_payload import Original, unseal
from app.health.readiness import ping_bridge
from consumers.bridge import heartbeat
from consumers.dead_letters.producer import DeadLetterQueue
from consumers.kafka.clients import headers_of, producer
from consumers.kafka.lag import Lag
from consumers.relay import DELIVERY_SECONDS, Relay
from tests.conftest import NOW
from tests.integration.running_bridge import (
    SECONDS,
    Running,
    let_pass,
    own_topics,
    produce,
    read_all,
    state,
    uncommitted,
    values,
    wait_until_committed,
)
from tests.learning_events import activity, quiz
from tests.stack import wait_for

VALID, INVALID = json.dumps(activity()).encode(), json.dumps(quiz(student_id="unmistakable", total_questions=0)).encode()


@pytest.fixture
def settings(settings: Settings, any_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, any_kafka, tmp_path)


def test_valid_records_are_taken_once_and_then_committed(engine: Engine) -> None:
    """Every record once, none left uncommitted, no chunk larger than the setting (the worker checks it)."""
    sent = values(220)
    produce(engine.settings, *sent)
    with Running(engine) as bridge:
        wait_until_committed(engine)
    assert sorted(bridge.recorded) == sorted(sent)
    assert engine.ledger.counts() == (220, {}, 0)


def test_invalid_records_become_dead_letters_and_the_rest_goes_on(engine: Engine) -> None:
    """With the headers of the contract; they are counted. Neither ids nor values can be read in them."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    out = producer(engine.settings)
    for key, value in enumerate([VALID, INVALID, b"\xff unmistakable", None, VALID]):
        given: Any = [("traceparent", trace), ("dlq.replay_count", "2")] if value == INVALID else []
        out.produce(engine.settings.events_topic, value=value, key=str(key), headers=given)
    out.flush(10)
    with Running(engine) as bridge:
        wait_until_committed(engine)
    assert bridge.recorded == [VALID, VALID]
    assert engine.ledger.counts() == (5, {ErrorType.VALIDATION: 3}, 0)
    letters = read_all(engine.settings, engine.settings.dlq_topic, 3)
    pseudonym = engine.audit.pseudonym("t-1", "unmistakable")
    assert sorted(str(message.key()) for message in letters) == ["None", "None", str(f"t-1/{pseudonym}".encode())]
    for message in letters:
        assert "unmistakable" not in f"{message.key()!r} {message.value()!r} {message.headers()}"
    (letter,) = [message for message in letters if message.key()]
    headers = headers_of(letter)
    assert headers.pop("dlq.partition") in {"0", "1", "2", "3"}
    assert headers.pop("dlq.offset").isdigit()
    assert headers.pop("dlq.id")
    assert headers == {
        "dlq.topic": engine.settings.events_topic,
        "dlq.error_type": "validation_error",
        "dlq.replay_count": "2",
        "traceparent": trace,
    }
    payload = msgspec.json.decode(letter.value() or b"", type=DeadLetter).original_payload
    assert unseal(payload, *engine.letter_keys.find([payload.key.name])) == Original(b"t-1/unmistakable", INVALID, len(INVALID))


def test_nothing_is_committed_before_its_dead_letters_are_delivered(engine: Engine) -> None:
    """While no relay delivers, the offsets do not move."""
    produce(engine.settings, VALID, INVALID)
    with Running(engine, relays=False) as bridge:
        wait_for(lambda: bridge.recorded == [VALID] and engine.ledger.letters_waiting() == 1, SECONDS)
        wait_for(lambda: state(engine) == BridgeState.RUNNING, SECONDS)
        assert uncommitted(engine.settings) == 2
        assert Relay(engine, producer(engine.settings)).step()
        wait_until_committed(engine)
    assert len(read_all(engine.settings, engine.settings.dlq_topic, 1)) == 1


def test_a_dead_letter_is_delivered_once_though_its_relay_crashed(engine: Engine) -> None:
    """The crash was between delivery and deletion: the next relay finds the dead letter in the topic."""
    produce(engine.settings, INVALID, INVALID)
    with Running(engine):
        wait_until_committed(engine)
    produce(engine.settings, INVALID)
    crashed = DeadLetterQueue(producer(engine.settings), engine.settings)
    with Running(engine, lambda _ids: None, relays=False):
        wait_for(lambda: engine.ledger.counts().dead_letters == {ErrorType.VALIDATION: 3}, SECONDS)
        waiting = engine.ledger.waiting_letters(10) or []
        crashed.send(waiting)
    with Running(engine):
        wait_until_committed(engine)
    letters = read_all(engine.settings, engine.settings.dlq_topic, 3)
    assert len({headers_of(letter)["dlq.id"] for letter in letters}) == len(letters) == 3


def test_a_queue_that_is_away_loses_nothing_and_dead_letters_nothing(engine: Engine) -> None:
    """The task is sent again until the queue accepts it; meanwhile the bridge reports that it waits."""
    states: list[str] = []
    failures = iter([DependencyUnavailable("broker")] * 2)

    def enqueue(chunk_ids: Sequence[ChunkId]) -> None:
        states.append(state(engine))
        if error := next(failures, None):
            raise error
        bridge.record(chunk_ids)

    produce(engine.settings, *values(3))
    bridge = Running(engine, enqueue)
    with bridge:
        wait_until_committed(engine)
        produce(engine.settings, *values(2))
        wait_for(lambda: len(bridge.recorded) == 5, SECONDS)
        wait_until_committed(engine)
    assert BridgeState.WAITING in states
    assert engine.ledger.counts() == (5, {}, 0)


def test_a_bridge_stopped_while_the_queue_is_away_leaves_its_chunk_to_a_sweep(engine: Engine) -> None:
    """Accepted records are in flight, and the next bridge does not accept them again."""
    tried: list[ChunkId] = []

    def refuse(chunk_ids: Sequence[ChunkId]) -> None:
        tried.extend(chunk_ids)
        raise DependencyUnavailable("broker")

    produce(engine.settings, *values(3))
    with Running(engine, refuse):
        wait_for(lambda: bool(tried), SECONDS)
    with Running(engine) as next_bridge:
        wait_until_committed(engine)
        next_bridge.record(engine.ledger.claim_overdue(0, 10))
    assert len(next_bridge.recorded) == 3
    assert engine.ledger.counts() == (3, {}, 0)


def test_it_holds_back_while_the_workers_are_behind(engine: Engine) -> None:
    """Above the high mark it pauses, below the low one it resumes; it stays in its consumer group meanwhile."""
    engine = bootstrap(replace(engine.settings, chunks_high_mark=3, chunks_low_mark=1, chunk_events=5), clock=engine.clock)
    queued: list[ChunkId] = []
    sent = values(200)
    produce(engine.settings, *sent)
    with closing(Lag(engine)) as lag, Running(engine, queued.extend) as bridge:
        wait_for(lambda: engine.ledger.in_flight() == 3, SECONDS)
        time.sleep(1)  # that nothing happens can only be seen by waiting
        assert engine.ledger.in_flight() == 3
        assert lag.records() == len(sent) - engine.ledger.counts().records > 0
        assert len(lag.by_partition()) == 4
        assert state(engine) == BridgeState.RUNNING
        while len(bridge.recorded) < len(sent):
            wait_for(lambda: bool(queued), SECONDS)
            bridge.record([queued.pop(0)])
            assert engine.ledger.in_flight() <= 3
        wait_until_committed(engine)
        assert lag.records() == 0
    assert sorted(bridge.recorded) == sorted(sent)
    engine.redis.close()


def test_it_holds_back_while_kafka_takes_no_dead_letters(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of waiting messages is bounded: nothing is accepted until the relay has caught up."""
    monkeypatch.setattr(heartbeat, "WAITING_MARK", 3)
    with Running(engine, relays=False) as bridge:
        produce(engine.settings, *[INVALID] * 4)  # only the last one exceeds the limit, so none is left for later
        wait_for(bridge.is_full, SECONDS)
        produce(engine.settings, VALID)  # the current read is accepted, then it pauses
        wait_for(lambda: bridge.recorded == [VALID], SECONDS)
        produce(engine.settings, *values(10))
        time.sleep(1.5)  # that nothing happens can only be seen by waiting
        assert bridge.recorded == [VALID]
        assert Relay(engine, producer(engine.settings)).step()
        wait_for(lambda: len(bridge.recorded) == 11, SECONDS)


def test_a_flood_of_invalid_records_halts_it_until_an_operator_says_go_on(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The topic is not moved to the dead letters; readiness and the log say what happened and what to do."""
    produce(engine.settings, *[INVALID] * 300)
    with Running(engine) as bridge:
        wait_for(lambda: state(engine) == BridgeState.HALTED, SECONDS)
        dead = engine.ledger.counts().dead_letters[ErrorType.VALIDATION]
        assert dead < engine.settings.poison_records
        with pytest.raises(DependencyUnavailable, match=r"is halted: too many invalid records.*mastery bridge resume"):
            ping_bridge(engine.bridges)
        assert "mastery bridge resume" in caplog.text
        with Running(engine, bridge.record):  # which gets some partitions, halts too, and gives them back
            wait_for(lambda: len(bridge.partitions()) == 2, SECONDS)
        let_pass(engine)
        wait_for(lambda: engine.ledger.counts().dead_letters == {ErrorType.VALIDATION: 300}, SECONDS)
        produce(engine.settings, *values(10))
        wait_for(lambda: len(bridge.recorded) == 10, SECONDS)
        wait_until_committed(engine)
    assert len(read_all(engine.settings, engine.settings.dlq_topic, 300)) == 300


def test_readiness_follows_the_heartbeat(engine: Engine) -> None:
    """Only a running bridge is ready: not a missing, joining or waiting one. The file is touched while it lives."""
    with pytest.raises(DependencyUnavailable, match="no sign of life"):
        ping_bridge(engine.bridges)
    file = Path(engine.settings.bridge_heartbeat_file)
    seen: set[str] = set()
    with Running(engine):
        wait_for(lambda: seen.add(state(engine)) or BridgeState.RUNNING in seen, SECONDS)  # type: ignore[func-returns-value]
        ping_bridge(engine.bridges)
        touched = file.stat().st_mtime
        wait_for(lambda: file.stat().st_mtime > touched, SECONDS)
    assert seen <= {"", BridgeState.JOINING, BridgeState.RUNNING}
    assert not file.exists()
    with pytest.raises(DependencyUnavailable, match="no sign of life"):
        ping_bridge(engine.bridges)


def test_dead_letters_that_do_not_arrive_are_an_outage(engine: Engine) -> None:
    """The queue reports it, and they wait."""
    produce(engine.settings, INVALID)
    with Running(engine, relays=False):
        wait_for(lambda: engine.ledger.letters_waiting() == 1, SECONDS)
    nowhere = Producer({"bootstrap.servers": "127.0.0.1:9", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0})
    with pytest.raises(DependencyUnavailable, match="kafka"):
        DeadLetterQueue(nowhere, engine.settings).send(engine.ledger.waiting_letters(1) or [])
    assert engine.ledger.letters_waiting() == 1


def test_changes_that_do_not_arrive_wait_and_are_told_later(engine: Engine) -> None:
    """They are deleted only when Kafka has acknowledged them."""
    nowhere = Producer({"bootstrap.servers": "127.0.0.1:9", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0})
    record_events([decode_event(VALID, NOW)], stores=engine.mastery, now=NOW)
    relay = Relay(engine, nowhere)
    assert not relay.step()
    assert engine.outbox.entries(["t-1"]) == {"t-1": 1}
    relay.stop()
    relay.run()  # releases its lease
    assert Relay(engine, producer(engine.settings)).step()
    assert engine.outbox.entries(["t-1"]) == {}
    (told,) = read_all(engine.settings, engine.settings.results_topic, 1)
    assert told.key() == f"t-1/{engine.audit.pseudonym('t-1', 's-1')}".encode()


def test_a_relay_that_lost_its_lease_while_it_looked_sends_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another relay may have sent the dead letters meanwhile; this one stands by while the other holds the lease."""
    produce(engine.settings, INVALID)
    with Running(engine, relays=False):
        wait_for(lambda: engine.ledger.letters_waiting() == 1, SECONDS)
    relay, other = (Relay(engine, producer(engine.settings)) for _ in range(2))

    look = relay._dead_letters.arrived

    def look_for_long(since: Mapping[int, int], still: Callable[[], bool]) -> set[str] | None:
        engine.redis.delete(f"{engine.settings.key_prefix}:{{.events}}:relay")
        relay._lease._sure_until = 0.0  # this much time has passed
        assert other._lease.hold(DELIVERY_SECONDS)
        return look(since, still)

    with monkeypatch.context() as looking:
        looking.setattr(relay._dead_letters, "arrived", look_for_long)
        assert not relay.step()
    assert engine.ledger.letters_waiting() == 1
    assert not relay.step()
    assert engine.ledger.letters_waiting() == 1
    assert other.step()
    assert engine.ledger.letters_waiting() == 0
