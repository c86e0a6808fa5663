"""Records beyond a tenant's quota for a minute become dead letters, whenever they are read."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.events.bridge_heartbeats import BridgeState
from app.events.dead_letter import REPLAYS, DeadLetter, ErrorType
from app.events.event_log import LogRecord
from consumers.kafka.clients import producer
from consumers.kafka_event_log import KafkaEventLog
from tests.integration.dead_letter_desk import Dlq
from tests.integration.running_bridge import SECONDS, Running, own_topics, read_all, state, wait_until_committed
from tests.learning_events import activity
from tests.stack import wait_for

QUOTA = 100
MOMENT = datetime.now(UTC)  # a real broker neither keeps nor accepts records of another year


@pytest.fixture
def engine(settings: Settings, any_kafka: str, tmp_path: Path) -> Iterator[Engine]:
    yield from made(settings, any_kafka, tmp_path)


@pytest.fixture
def credulous(settings: Settings, kafka_bootstrap: str, tmp_path: Path) -> Iterator[Engine]:
    """On a broker that accepts records with any timestamp."""
    yield from made(settings, kafka_bootstrap, tmp_path)


def made(settings: Settings, bootstrap_servers: str, folder: Path) -> Iterator[Engine]:
    own = replace(own_topics(settings, bootstrap_servers, folder), quota_events=f"unlimited, flood={QUOTA}")
    engine = bootstrap(own, clock=lambda: MOMENT)
    yield engine
    engine.redis.close()


def event(tenant: str, number: int) -> bytes:
    return json.dumps(activity(tenant_id=tenant, student_id=f"s-{number}", timestamp=MOMENT.isoformat())).encode()


def produce(engine: Engine, tenant: str, count: int, moment: datetime = MOMENT, replays: int = 0) -> None:
    """Events with a given record timestamp."""
    out = producer(engine.settings)
    headers: list[tuple[str, str | bytes | None]] = [(REPLAYS, str(replays))] if replays else []
    for number in range(count):
        value, milliseconds = event(tenant, number), int(moment.timestamp() * 1000)
        out.produce(engine.settings.events_topic, value, f"{tenant}/{number}", timestamp=milliseconds, headers=headers)
    assert out.flush(SECONDS) == 0


def recorded(bridge: Running) -> Counter[str]:
    """How many events of each tenant were sent to workers."""
    return Counter(json.loads(value)["tenant_id"] for value in bridge.recorded)


def refused(engine: Engine) -> int:
    return engine.ledger.counts().dead_letters.get(ErrorType.PROCESSING, 0)


def forget_all(engine: Engine) -> None:
    """Delete everything in Redis."""
    for key in engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"):
        engine.redis.delete(key)


def test_events_beyond_the_quota_become_letters(engine: Engine) -> None:
    """With the reason, and under their key; others have no limit, nobody is delayed, and the bridge does not halt."""
    produce(engine, "flood", 450)
    produce(engine, "calm", 150)
    with Running(engine) as bridge:
        wait_for(lambda: recorded(bridge).total() + refused(engine) == 600, SECONDS)
        assert (recorded(bridge), refused(engine)) == ({"flood": QUOTA, "calm": 150}, 350)
        wait_until_committed(engine)
        assert state(engine) != BridgeState.HALTED
    letters = read_all(engine.settings, engine.settings.dlq_topic, 350)
    assert len(letters) == 350
    value, key = letters[0].value(), letters[0].key()
    assert value is not None
    minute = f"{MOMENT:%Y-%m-%dT%H:%MZ}"
    reason = f"the tenant may send 100 events a minute, and had sent them in that of {minute}; replay this when it may"
    assert msgspec.json.decode(value, type=DeadLetter).error_message == reason
    assert isinstance(key, bytes)
    assert key.startswith(b"flood/")


def test_a_backlog_is_no_flood(engine: Engine) -> None:
    """Events count in the minute in which they were produced, however many are read at once, also when all are read again."""
    for minute in range(5):
        produce(engine, "flood", QUOTA, MOMENT - timedelta(minutes=minute))
    for _ in ("at first", "after Redis has lost everything"):
        with Running(engine) as bridge:
            wait_for(lambda: recorded(bridge)["flood"] == 5 * QUOTA, SECONDS)
            assert refused(engine) == 0
        forget_all(engine)


def test_what_was_read_anew_is_judged_as_before(engine: Engine) -> None:
    """After a loss of Redis the same number is rejected as before."""
    produce(engine, "flood", 2 * QUOTA)
    produce(engine, "flood", QUOTA // 2, MOMENT - timedelta(minutes=1))
    for _ in ("at first", "after Redis has lost everything"):
        with Running(engine) as bridge:
            wait_for(lambda: len(bridge.recorded) + refused(engine) == 250, SECONDS)
            assert (refused(engine), recorded(bridge)["flood"]) == (QUOTA, 150)
        forget_all(engine)


def test_replayed_letters_are_not_counted(engine: Engine) -> None:
    """They do not fail again for the same reason, and do not use up the quota of new events."""
    produce(engine, "flood", 3 * QUOTA, replays=1)
    produce(engine, "flood", QUOTA)
    with Running(engine) as bridge:
        wait_for(lambda: recorded(bridge)["flood"] == 4 * QUOTA, SECONDS)
        assert refused(engine) == 0


def test_an_operator_brings_back_what_was_beyond(engine: Engine) -> None:
    """`mastery dlq replay` sends them: all are recorded, and none comes back."""
    produce(engine, "flood", QUOTA + 20)
    with Running(engine) as bridge:
        wait_for(lambda: refused(engine) == 20 and not engine.ledger.letters_waiting(), SECONDS)
        desk = Dlq(engine.settings)
        assert "20 dead letters replayed" in desk.run("replay", "--tenant", "flood", "--reason", "processing_error").stdout
        desk.close()
        wait_for(lambda: recorded(bridge)["flood"] == QUOTA + 20, SECONDS)
        assert refused(engine) == 20


def test_what_the_api_was_given_counts_at_the_door_only(engine: Engine) -> None:
    """The API accepted them already; events over Kafka beyond the rest of the quota are rejected."""
    assert engine.event_quota.admit("flood", 60, MOMENT)
    records = [LogRecord("flood", f"s-{number}", event("flood", number), counted_at=MOMENT) for number in range(60)]
    with closing(KafkaEventLog(engine.settings)) as log:
        log.append(records)
    produce(engine, "flood", 60)
    with Running(engine) as bridge:
        wait_for(lambda: len(bridge.recorded) + refused(engine) == 120, SECONDS)
        assert (refused(engine), recorded(bridge)["flood"]) == (20, QUOTA)
        values = set(bridge.recorded)
    assert {record.value for record in records} <= values


def test_times_that_no_clock_can_have_shown(credulous: Engine) -> None:
    """Any timestamp of a producer is accepted, and creates no more minutes than Kafka retains."""
    out = producer(credulous.settings)
    for milliseconds in (1, 2**53, 2**62):
        out.produce(credulous.settings.events_topic, event("flood", 1), timestamp=milliseconds)
    assert out.flush(SECONDS) == 0
    with Running(credulous) as bridge:
        wait_for(lambda: recorded(bridge)["flood"] == 3, SECONDS)
        minutes = list(credulous.redis.scan_iter(f"{credulous.settings.key_prefix}:{{.events}}:minute:*"))
        assert len(minutes) == 2
