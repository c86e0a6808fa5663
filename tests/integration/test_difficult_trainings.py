"""Trainings on damaged or unusual facts, and trainings that are disturbed: real facts, real training."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.predictions.forecast_errors import LEARNED
from app.predictions.model_store import Attempt
from app.predictions.observe_peers import observe_peers
from app.predictions.stored_model import ModelSummary
from app.predictions.train_tenant_model import TookTooLong, TooLittleToLearn, train_tenant_model
from app.predictions.training_lease import TrainingRuns
from tests.classrooms import TODAY, enrol, seesaw
from tests.conftest import NOW
from tests.contracts.conftest import keys


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


def test_cohorts_of_one_student(engine: Engine) -> None:
    """Each with a tutor, say: they are put together, and left out in turn as in one cohort."""
    for number in range(60):
        enrol(engine, f"tutor-{number}", 1, seesaw)
    trained = train(engine)
    assert (trained.students, trained.origins, trained.overall.answerer) == (60, 60 * 26, LEARNED)


def test_few_students_with_many_days(engine: Engine) -> None:
    """Of less than ten nothing is learned, however many days they have: each would be much of it."""
    store = engine.mastery.facts
    store.retention_days = 360
    enrol(engine, "seesaw", 9, seesaw)
    with pytest.raises(TooLittleToLearn, match="there are 9 students to learn from; 10 are needed"):
        train(engine)


def test_no_cohorts(engine: Engine) -> None:
    """The reason is named, and noted for operators."""
    enrol(engine, "", 45, seesaw)
    with pytest.raises(TooLittleToLearn, match="no student has a cohort"):
        train(engine)
    noted = engine.learning.models.latest_attempt("t")
    assert noted is not None
    assert "no student has a cohort" in noted.outcome


@pytest.mark.parametrize(("days", "is_possible"), [(64, False), (65, True)])
def test_a_short_retention(engine: Engine, days: int, *, is_possible: bool) -> None:
    """Of which no day is left to learn from: the reason names the setting. With a day more, it depends on the students."""
    engine.mastery.facts.retention_days = days
    enrol(engine, "seesaw", 12, seesaw)
    reason = r"there are 12 students and days to learn from" if is_possible else r"kept for 64 days \(MASTERY_RETENTION_DAYS\)"
    with pytest.raises(TooLittleToLearn, match=reason):
        train(engine)


def test_too_little_is_left(engine: Engine) -> None:
    """The model that answers was made of what is gone: it stops, and the base model answers."""
    enrol(engine, "seesaw", 45, seesaw)
    first = train(engine)
    assert engine.learning.models.promoted("t") == first.version
    engine.redis.delete(*list(engine.redis.scan_iter(f"{engine.settings.key_prefix}:{{t}}:student:*")))
    with pytest.raises(TooLittleToLearn, match="there are 0 students and days"):
        train(engine, 1)
    assert engine.learning.models.promoted("t") is None


def test_an_error(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kind is noted, not its message, which may quote data; the model before answers on. An outage is not noted."""
    enrol(engine, "seesaw", 45, seesaw)
    first = train(engine)
    noted = engine.learning.models.latest_attempt("t")
    for error in (DependencyUnavailable("redis"), ValueError("seesaw-3"), TookTooLong()):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("app.predictions.train_tenant_model.train_model", fail)
        with pytest.raises(type(error)):
            train(engine, 1)
        if isinstance(error, DependencyUnavailable):
            assert engine.learning.models.latest_attempt("t") == noted
        else:
            outcome = "failed: ValueError" if isinstance(error, ValueError) else "failed: it took too long"
            assert engine.learning.models.latest_attempt("t") == Attempt(TODAY, outcome, failed=True)
    assert engine.learning.models.promoted("t") == first.version
    assert engine.learning.models.lease("t").hold(0)


@pytest.mark.parametrize("step", ["put", "observe", "promote", "note_attempt"])
def test_a_tenant_that_is_erased_between_two_steps(engine: Engine, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever it happens, nothing of the training is left."""
    enrol(engine, "seesaw", 45, seesaw)
    models, peers = engine.learning.models, engine.learning.peers
    of, name = (peers, "put") if step == "observe" else (models, step)
    make = getattr(of, name)

    def erase_before(*arguments: object, **options: object) -> object:
        peers.drop("t", ["seesaw"])
        models.drop("t")
        return make(*arguments, **options)

    monkeypatch.setattr(of, name, erase_before)
    with pytest.raises(TrainingRuns, match="the models of t were deleted"):
        train(engine)
    assert (models.summaries("t"), models.promoted("t"), models.latest_attempt("t")) == ({}, None, None)
    assert [key for key in keys(engine) if key.startswith(("{t}:model", "{t}:peers", "{t}:training"))] == []


def test_another_process_has_just_trained(engine: Engine) -> None:
    """It is asked again under the lease whether a training is due; an operator's command trains all the same."""
    enrol(engine, "seesaw", 45, seesaw)
    first = train(engine)
    with pytest.raises(TrainingRuns, match="another process has just trained a model of t"):
        train_tenant_model("t", using=engine.training, now=NOW + timedelta(seconds=1), pause_days=1)
    assert list(engine.learning.models.summaries("t")) == [first.version]
    assert train_tenant_model("t", using=engine.training, now=NOW + timedelta(days=1), pause_days=1).version != first.version


def test_a_long_training_keeps_its_lease(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step prolongs it: as long as an operator's training needs, nobody else trains a model of the tenant."""
    enrol(engine, "seesaw", 45, seesaw)
    train(engine)  # so that scikit-learn is loaded, which takes a second or two
    monkeypatch.setattr("app.predictions.model_store.LEASE_SECONDS", 3)
    began, now = time.monotonic(), NOW + timedelta(seconds=1)
    trained = train_tenant_model("t", using=engine.training, now=now, on_step=lambda _done, _of: time.sleep(0.4))
    assert time.monotonic() - began > 4
    assert engine.learning.models.promoted("t") == trained.version
