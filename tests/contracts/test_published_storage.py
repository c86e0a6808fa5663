"""How long published statistics are stored, and what happens to damaged ones, on every server."""

import logging

import pytest

from app.analytics.published_store import KEPT
from app.bootstrap import Engine
from app.mastery.rankings import Metric
from tests.contracts.conftest import TODAY
from tests.contracts.publications import (
    SIX,
    SIX_VALUES,
    TOMORROW,
    completions,
    enrol,
    learn,
    publish,
)


def test_it_is_kept_for_a_week_after_the_cohort_has_ended(engine: Engine) -> None:
    """Each day on which it is looked at prolongs it, also if the version stays."""
    enrol(engine)
    publish(engine)
    key = engine.published._key("t", "c-1")
    assert engine.redis.ttl(key) == pytest.approx(KEPT.total_seconds(), abs=10)
    engine.redis.expire(key, 100)
    learn(engine, SIX[0], 90)
    publish(engine, TOMORROW)
    assert engine.redis.ttl(key) == pytest.approx(KEPT.total_seconds(), abs=10)


@pytest.mark.parametrize("students", [4, 6])
def test_values_that_are_not_shown_any_more_are_deleted_after_the_retention(engine: Engine, students: int) -> None:
    """Whether there are too few students for a new version, or too few changes; then nothing is compared with them."""
    retention = engine.mastery.facts.retention_days
    begun = engine.published.begin("t", "c-1", TODAY - retention)
    assert engine.published.publish("t", "c-1", begun, dict.fromkeys(Metric, SIX_VALUES))
    assert engine.published.begin("t", "c-1", TODAY - 1).published.keys() == set(Metric)
    enrol(engine, SIX[:students])
    learn(engine, SIX[0], 90)
    publish(engine)
    stored = engine.published.begin("t", "c-1", TODAY - 1).published
    assert list(stored) == ([] if students == 4 else list(Metric))
    assert completions(engine) == (None if students == 4 else (0, [1, 2, 3, 4, 5, 90]))


@pytest.mark.parametrize(
    ("field", "damaged"),
    [("mastery", b"five"), ("mastery", b"15 bytes of text"), ("mastery", b"..."), ("mastery sums", b"1"), ("day", b"?")],
)
def test_a_damaged_version_is_not_shown(engine: Engine, field: str, damaged: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so, and the next version replaces it."""
    enrol(engine)
    publish(engine)
    engine.redis.hset(engine.published._key("t", "c-1"), field, damaged)
    with caplog.at_level(logging.ERROR):
        assert completions(engine) is None
    assert [each.getMessage() for each in caplog.records] == ["published statistics of a cohort of t cannot be read"]
    publish(engine, TOMORROW)
    assert completions(engine) == (1, [0, 1, 2, 3, 4, 5])
