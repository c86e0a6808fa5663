"""What halts the bridge and what does not, on each kind of broker, mostly after an operator has acted."""

import json
from pathlib import Path

import pytest

from app.bootstrap import Engine
from app.config.settings import Settings
from app.events.bridge_heartbeats import BridgeState
from app.events.dead_letter import REPLAYS, ErrorType
from consumers.kafka.clients import producer
from tests.integration.running_bridge import (
    SECONDS,
    Running,
    let_pass,
    own_topics,
    produce,
    state,
    values,
    wait_until_committed,
)
from tests.learning_events import quiz
from tests.stack import wait_for

INVALID = json.dumps(quiz(total_questions=0)).encode()


@pytest.fixture
def settings(settings: Settings, any_kafka: str, tmp_path: Path) -> Settings:
    """Topics and a group for this test only."""
    return own_topics(settings, any_kafka, tmp_path)


def produce_to(engine: Engine, partition: int, *sent: bytes, replays: int = 0) -> None:
    out = producer(engine.settings)
    for each in sent:
        out.produce(
            engine.settings.events_topic, each, partition=partition, headers=[(REPLAYS, str(replays))] if replays else []
        )
    assert out.flush(SECONDS) == 0


def dead_letters(engine: Engine) -> int:
    return engine.ledger.counts().dead_letters.get(ErrorType.VALIDATION, 0)


def test_what_an_operator_replays_is_no_flood(engine: Engine) -> None:
    """Dead letters that are still invalid are dead-lettered again, and nothing else is delayed."""
    produce_to(engine, 0, *[INVALID] * 500, replays=1)
    with Running(engine) as bridge:
        wait_for(lambda: dead_letters(engine) == 500, SECONDS)
        produce(engine.settings, *values(20))
        wait_for(lambda: len(bridge.recorded) == 20, SECONDS)
        wait_for(lambda: state(engine) == BridgeState.RUNNING, SECONDS)
        wait_until_committed(engine)


def test_a_producer_that_floods_among_replayed_letters_is_noticed(engine: Engine) -> None:
    """Replayed records count on neither side: many valid ones do not hide a flood."""
    produce_to(engine, 0, *values(1_000), replays=1)
    with Running(engine):
        wait_for(lambda: engine.ledger.counts().records == 1_000, SECONDS)
        produce_to(engine, 1, *[INVALID] * 250)
        wait_for(lambda: state(engine) == BridgeState.HALTED, SECONDS)


def test_what_was_resumed_stays_so_though_good_records_come_first(engine: Engine) -> None:
    """Valid records of other partitions, which are read before the poison, do not revoke the resume."""
    produce_to(engine, 0, *[INVALID] * 400)
    with Running(engine) as bridge:
        wait_for(lambda: state(engine) == BridgeState.HALTED, SECONDS)
        for partition in (1, 2, 3):
            produce_to(engine, partition, *values(400))
        let_pass(engine)
        wait_for(lambda: dead_letters(engine) == 400 and len(bridge.recorded) == 1_200, SECONDS)
        wait_until_committed(engine)


def test_the_word_of_an_operator_outlives_the_bridge(engine: Engine) -> None:
    """It is stored with the positions: a bridge that starts later does not halt at the same records."""
    produce_to(engine, 0, *[INVALID] * 400)
    with Running(engine):
        wait_for(lambda: state(engine) == BridgeState.HALTED, SECONDS)
    let_pass(engine)
    with Running(engine):
        wait_for(lambda: dead_letters(engine) == 400, SECONDS)
        wait_until_committed(engine)


def test_what_comes_after_the_word_is_judged_anew(engine: Engine) -> None:
    """The resume is for the records of that time; a producer that continues halts the bridge again."""
    produce_to(engine, 0, *[INVALID] * 400)
    with Running(engine):
        wait_for(lambda: state(engine) == BridgeState.HALTED, SECONDS)
        let_pass(engine)
        wait_for(lambda: dead_letters(engine) == 400, SECONDS)
        produce_to(engine, 0, *[INVALID] * 400)
        wait_for(lambda: state(engine) == BridgeState.HALTED, SECONDS)
        assert dead_letters(engine) < 600
