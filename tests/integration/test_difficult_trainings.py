"""Trainings on damaged or unusual facts, and trainings that are disturbed: real facts, real training."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.bootstrap import Engine
from app.predictions.observe_peers import observe_peers
from app.predictions.stored_model import ModelSummary
from app.predictions.train_tenant_model import train_tenant_model
from tests.classrooms import TODAY, enrol, seesaw
from tests.conftest import NOW


def train(engine: Engine, seconds: int = 0) -> ModelSummary:
    return train_tenant_model("t", using=engine.training, now=NOW + timedelta(seconds=seconds))


def observe(engine: Engine) -> Iterator[int]:
    return observe_peers("t", sources=engine.training.sources, store=engine.learning.peers, today=TODAY)


def test_a_damaged_record(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Of one student: the others are learned from and observed; the log says so, and does not name the student."""
    enrol(engine, "seesaw", 45, seesaw)
    engine.redis.hset(engine.mastery.facts.record_key("t", "seesaw-3"), str(TODAY - 10), b"\xc1")
    assert list(observe(engine)) == [44]
    assert train(engine).students == 44
    assert "a student's record cannot be read" in caplog.text
    assert "seesaw-3" not in caplog.text
