"""Where bridges continue to read after a rebalance, or after Redis or the topic lost data."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from threading import Event as Flag

import pytest

from app.bootstrap import Engine
from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.ledger import ChunkId
from consumers.kafka import clients as kafka
from tests.integration.running_bridge import (
    SECONDS,
    SESSION_SECONDS,
    Running,
    own_topics,
    produce,
    source,
    values,
    wait_until_committed,
)
from tests.stack import wait_for


@pytest.fixture
def settings(settings: Settings, any_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, any_kafka, tmp_path)


def test_two_bridges_share_the_partitions_and_take_each_record_once(engine: Engine) -> None:
    """A second bridge joins and leaves while records flow; revoked partitions are finished and committed."""
    sent = values(400)
    with Running(engine) as first:
        produce(engine.settings, *sent[:100])
        wait_for(lambda: len(first.recorded) >= 50, SECONDS)
        with Running(engine) as second:
            produce(engine.settings, *sent[100:300])
            wait_for(lambda: len(first.partitions()) == len(second.partitions()) == 2, SECONDS)
            wait_until_committed(engine)
        produce(engine.settings, *sent[300:])
        wait_until_committed(engine)
    assert sorted(first.recorded + second.recorded) == sorted(sent)
    assert engine.ledger.counts() == (400, {}, 0)


def test_a_bridge_that_was_declared_dead_takes_and_commits_nothing_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hung in the middle of a step; another bridge got its partitions, and continues at the ledger's positions."""
    monkeypatch.setattr(kafka, "MAX_POLL_INTERVAL_MS", round(SESSION_SECONDS * 1000))  # it may not be less
    hangs, goes_on = Flag(), Flag()

    def enqueue(chunk_ids: Sequence[ChunkId]) -> None:
        hangs.set()
        goes_on.wait(SECONDS)
        hanging.record(chunk_ids)

    sent = values(200)
    hanging = Running(engine, enqueue)
    with hanging:
        produce(engine.settings, *sent[:100])
        assert hangs.wait(SECONDS)
        with Running(engine) as other:
            produce(engine.settings, *sent[100:])
            wait_until_committed(engine)
            goes_on.set()
            wait_for(lambda: engine.ledger.in_flight() == 0, SECONDS)
            produce(engine.settings, *sent[:10])
            wait_for(lambda: len(hanging.recorded + other.recorded) == 210, SECONDS)
            wait_until_committed(engine)
    assert sorted(hanging.recorded + other.recorded) == sorted(sent + sent[:10])
    assert engine.ledger.counts() == (210, {}, 0)


def test_partitions_that_come_while_it_waits_are_read_afterwards(engine: Engine) -> None:
    """Another bridge leaves while this one waits for the queue: its new partitions are neither skipped nor read early."""
    away, tried = Flag(), []
    away.set()

    def enqueue(chunk_ids: Sequence[ChunkId]) -> None:
        tried.append(chunk_ids)
        if away.is_set():
            raise DependencyUnavailable("broker")
        waiting.record(chunk_ids)

    sent = values(300)
    waiting = Running(engine, enqueue)
    with waiting:
        with Running(engine) as leaving:
            wait_for(lambda: len(waiting.partitions()) == len(leaving.partitions()) == 2, SECONDS)
            produce(engine.settings, *sent[:150])
            wait_for(lambda: bool(tried) and bool(leaving.recorded), SECONDS)
        produce(engine.settings, *sent[150:])
        wait_for(lambda: len(waiting.partitions()) == 4, SECONDS)
        attempts = len(tried)
        wait_for(lambda: len(tried) >= attempts + 3, SECONDS)  # polled for three seconds with the new partitions
        assert waiting.recorded == []
        away.clear()
        wait_until_committed(engine)
    assert sorted(waiting.recorded + leaving.recorded) == sorted(sent)


def take_back(engine: Engine, positions: Mapping[int, int]) -> None:
    """Change the positions like a crash of Redis."""
    engine.redis.hset(
        f"{engine.settings.key_prefix}:{{.events}}:positions:{source(engine)}",
        mapping={str(partition): offset for partition, offset in positions.items()},
    )


def test_what_redis_lost_is_read_again(engine: Engine) -> None:
    """A crash of Redis lost the last chunk and its position: the running bridge notices, and accepts the records again."""
    first, second, third = values(10), values(10), values(10)
    with Running(engine) as bridge:
        produce(engine.settings, *first)
        wait_until_committed(engine)
        before = engine.positions.of(source(engine)).offsets
        produce(engine.settings, *second)
        wait_until_committed(engine)
        take_back(engine, before)
        produce(engine.settings, *third)
        wait_for(lambda: len(bridge.recorded) == 40, SECONDS)
    assert sorted(bridge.recorded) == sorted(first + second + second + third)


def test_what_redis_lost_is_read_again_though_nothing_new_comes(engine: Engine) -> None:
    """The crash was after the last record of the day, and only some partitions had recent records."""
    sent = values(10)
    with Running(engine) as bridge:
        produce(engine.settings, *sent)
        wait_until_committed(engine)
        after = engine.positions.of(source(engine)).offsets
        lost, some = max(after.items(), key=itemgetter(1))
        take_back(engine, {lost: 1})
        wait_for(lambda: len(bridge.recorded) == 10 + some - 1, SECONDS)
        assert engine.positions.of(source(engine)).offsets == after
    assert set(bridge.recorded) == set(sent)


def test_an_empty_redis_is_filled_from_the_beginning_of_the_topic(engine: Engine) -> None:
    """The group's committed offsets do not matter: the positions were lost with the rest of the state."""
    sent = values(30)
    produce(engine.settings, *sent)
    with Running(engine):
        wait_until_committed(engine)
    engine.redis.delete(*engine.redis.scan_iter(f"{engine.settings.key_prefix}:*"))
    with Running(engine) as bridge:
        wait_for(lambda: len(bridge.recorded) == 30, SECONDS)
    assert sorted(bridge.recorded) == sorted(sent)


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(engine: Engine) -> None:
    """The ledger has positions, the group has no offsets: the positions belong to a deleted topic."""
    sent = values(8)
    produce(engine.settings, *sent)
    engine.redis.hset(
        f"{engine.settings.key_prefix}:{{.events}}:positions:{source(engine)}",
        mapping={str(partition): 1 for partition in range(4)},
    )
    with Running(engine) as bridge:
        wait_until_committed(engine)
    assert sorted(bridge.recorded) == sorted(sent)
