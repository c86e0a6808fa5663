"""A script whose user may not run one of its commands has no effect at all, on every server.

A server rejects single commands and reverts nothing. Earlier writes of a script would stay, and be repeated by the next call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from app.bootstrap import Engine
from app.config.quotas import Quotas
from app.errors import DependencyUnavailable
from app.events.ledger import Ledger, OffsetAdvance
from app.mastery.evidence import QUIZ
from app.mastery.fact_store import FactStore
from app.storage.redis_client import TranslatingRedis
from tests.contracts.conftest import TODAY, merge, observation, window
from tests.contracts.test_ledger import CHUNK, SOURCE
from tests.dead_letters import waiting_letter


@contextmanager
def user_without(engine: Engine, command: str) -> Iterator[redis.Redis]:
    """A client whose user may run all commands but this one."""
    name = f"{engine.settings.key_prefix}-user"
    rights: dict[str, Any] = {"keys": ["*"], "categories": ["+@all"], "commands": [f"-{command}"]}
    engine.redis.acl_setuser(name, enabled=True, nopass=True, **rights)
    options = engine.redis.connection_pool.connection_kwargs
    try:
        with TranslatingRedis(host=options["host"], port=options["port"], username=name, password="any") as client:
            yield client
    finally:
        engine.redis.acl_deluser(name)


@pytest.mark.parametrize("command", ["append", "hset", "setbit"])
def test_evidence_is_merged_whole_or_not_at_all(engine: Engine, command: str) -> None:
    """An event counts once, also if it was rejected three times before."""
    with user_without(engine, command) as client:
        store = FactStore(client, engine.settings.key_prefix, 90, Quotas("100"), engine.audit.pseudonyms)
        for _ in range(3):
            with pytest.raises(DependencyUnavailable, match="redis"):
                store.merge("t", {"s-1": [observation(1, TODAY, QUIZ, 8, 10)]}, TODAY)
    assert merge(engine, observation(1, TODAY, QUIZ, 8, 10)) == "1"
    found = window(engine)
    assert found is not None
    assert (8, 10) == (found.correct, found.asked)


@pytest.mark.parametrize("command", ["zadd", "xadd", "hincrby"])
def test_records_are_taken_over_whole_or_not_at_all(engine: Engine, command: str) -> None:
    """Neither position nor chunk nor dead letter is stored: the bridge retries, and everything is accepted."""
    with user_without(engine, command) as client, pytest.raises(DependencyUnavailable, match="redis"):
        Ledger(client, engine.settings.key_prefix).accept(
            CHUNK, (waiting_letter(),), source=SOURCE, advances={0: OffsetAdvance(None, 4)}
        )
    assert ({}, 0, 0) == (engine.positions.of(SOURCE).offsets, engine.ledger.in_flight(), engine.ledger.letters_waiting())
    engine.ledger.accept(CHUNK, (waiting_letter(),), source=SOURCE, advances={0: OffsetAdvance(None, 4)})
    assert (1, 1) == (engine.ledger.in_flight(), engine.ledger.letters_waiting())
