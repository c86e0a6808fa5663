"""How full Redis is, on every server."""

import logging
from collections.abc import Iterator

import pytest

from app.bootstrap import Engine
from app.health.memory import MemoryWatch, memory_of
from consumers.metrics import EngineCollector


@pytest.fixture
def limited(engine: Engine) -> Iterator[Engine]:
    """A server that may use ten times its present memory, so it rejects nothing."""
    engine.redis.config_set("maxmemory", 10 * memory_of(engine.redis).used)
    yield engine
    engine.redis.config_set("maxmemory", 0)


def test_a_server_without_a_limit_has_its_machine_s(engine: Engine) -> None:
    """Then the machine's memory is the limit."""
    memory = memory_of(engine.redis)
    assert memory.limit == engine.redis.info("memory")["total_system_memory"]
    assert 0 < memory.share < 1


def test_it_is_said_once_each_way(limited: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """One line is logged when Redis is nearly full, and one when it is not any more, not at each check."""
    watch = MemoryWatch(limited.redis, 0.05)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            watch.look()
        assert watch.is_nearly_full
        limited.redis.config_set("maxmemory", 100 * memory_of(limited.redis).used)
        for _ in range(3):
            watch.look()
    assert [("ERROR", "redis is nearly full"), ("WARNING", "redis has room again")] == [
        (record.levelname, record.getMessage().partition(":")[0]) for record in caplog.records
    ]


def test_it_is_a_metric(limited: Engine) -> None:
    """The metric is set at the share in the settings."""
    told = {metric.name: metric.samples[0].value for metric in EngineCollector(limited)._memory()}
    assert told["mastery_redis_nearly_full"] == 0
    assert 0.05 < told["mastery_redis_used_bytes"] / told["mastery_redis_limit_bytes"] < 0.5
    limited.redis.config_set("maxmemory", round(1.1 * memory_of(limited.redis).used))
    told = {metric.name: metric.samples[0].value for metric in EngineCollector(limited)._memory()}
    assert told["mastery_redis_nearly_full"] == 1
