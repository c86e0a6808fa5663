"""Models are trained on what the engine has stored, and answer only where they are better: real facts, real training."""

import time
from datetime import timedelta
from threading import Thread

import pytest

from app.bootstrap import Engine, bootstrap
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.errors import DependencyUnavailable, NotFound
from app.predictions.current_forecast import current_forecast, week_forecaster
from app.predictions.forecast import Forecast, WarningCode
from app.predictions.forecast_errors import BASE, LAST_VALUE, LEARNED
from app.predictions.forecast_model import BASE_MODEL, BASE_VERSION, base_intervals
from app.predictions.make_forecast import Means, make_forecast
from app.predictions.model_store import Attempt
from app.predictions.stored_model import ModelSummary
from app.predictions.train_tenant_model import CALIBRATED, TooLittleToLearn, train_tenant_model
from app.predictions.training_lease import TrainingRuns
from app.purposes import Purpose
from tests.classrooms import TODAY, enrol, fortnights, last_fortnight, seesaw, standstill
from tests.conftest import NOW


def train(engine: Engine, seconds: int = 0, tenant: str = "t") -> ModelSummary:
    return train_tenant_model(tenant, using=engine.training, now=NOW + timedelta(seconds=seconds))


def forecast(engine: Engine, student: str, tenant: str = "t") -> Forecast:
    return current_forecast(tenant, student, using=engine.forecasting, now=NOW)


def test_it_answers_where_it_is_better(engine: Engine) -> None:
    """What it has learned answers; where that no longer holds, the base model; in a tiny cohort, what is better overall."""
    enrol(engine, "seesaw", 45, seesaw)
    enrol(engine, "standstill", 40, standstill)
    enrol(engine, "tiny", 3, seesaw)
    trained = train(engine)
    answerers = [trained.answerer(cohort) for cohort in ("seesaw", "standstill", "tiny", None)]
    assert answerers == [LEARNED, BASE, LEARNED, LEARNED]
    errors = trained.cohorts["seesaw"].errors
    assert errors[LEARNED].mae < errors[LAST_VALUE].mae / 4
    told = {student: forecast(engine, f"{student}-1") for student in ("seesaw", "standstill", "tiny")}
    assert [each.model for each in told.values()] == ["learned", "base", "learned"]
    assert {each.model_version for each in told.values()} == {trained.version}
    assert [each.code for each in told["standstill"].warnings] == [WarningCode.NO_LEARNED_MODEL]
    assert told["seesaw"].warnings == []
    week = 0.4 * seesaw(1, TODAY - 1 + 7) / 14 + 0.1
    assert told["seesaw"].week_ahead.score == pytest.approx(week, abs=0.03)
    for each in told.values():
        assert 0 <= each.week_ahead.lower <= each.week_ahead.score <= each.week_ahead.upper <= 1


def test_the_risk_answers_where_it_is_better(engine: Engine) -> None:
    """It is trained on the same facts and stored with the model; it finds who is low in two weeks, and the table does not."""
    enrol(engine, "fortnights", 90, fortnights)
    trained = train(engine)
    assert trained.risk is not None
    assert (trained.risk.tested, trained.risk.answers, trained.risk_answers) == (90 * 14, True, True)
    assert 0.4 < trained.risk.at_risk / trained.risk.tested < 0.6
    assert (trained.risk.learned.average_precision or 0) > 0.99
    assert (trained.risk.base.average_precision or 1) < 0.6
    stored = engine.learning.models.content("t", trained.version).risk
    assert stored is not None
    assert engine.learning.models.summary("t", trained.version).risk == trained.risk


def test_the_risk_does_not_answer_where_it_is_worse(engine: Engine) -> None:
    """What it learned no longer holds: the table answers; the forecasts are judged apart from it."""
    enrol(engine, "fortnights", 90, last_fortnight)
    trained = train(engine)
    assert trained.risk is not None
    assert (trained.risk.answers, trained.risk_answers) == (False, False)
    assert (trained.risk.learned.log_loss or 0) > (trained.risk.base.log_loss or 9)


def test_too_little_for_a_risk(engine: Engine) -> None:
    """It needs more days than forecasts: they are learned all the same, and no risk is."""
    enrol(engine, "seesaw", 45, seesaw)
    trained = train(engine)
    assert (trained.overall.answerer, trained.risk, trained.risk_answers) == (LEARNED, None, False)
    assert engine.learning.models.content("t", trained.version).risk is None


def test_a_better_risk_is_promoted(engine: Engine) -> None:
    """Although the base model forecasts as well as anything."""
    enrol(engine, "flat", 90, lambda student, _day: 14 if student % 2 else 7)
    trained = train(engine)
    assert (trained.overall.answerer, trained.risk_answers) == (BASE, True)
    assert {each.answerer for each in trained.cohorts.values()} == {BASE}
    assert engine.learning.models.promoted("t") == trained.version


def test_an_earlier_forecast_is_not_told_any_more(engine: Engine) -> None:
    """A promotion, and going back from it, count at once: the version is part of what a cached forecast depends on."""
    enrol(engine, "seesaw", 45, seesaw)
    before = forecast(engine, "seesaw-1")
    assert before.model == BASE
    first, second = train(engine), train(engine, 1)
    assert forecast(engine, "seesaw-1").model_version == second.version
    assert engine.learning.models.roll_back("t") == first.version
    assert forecast(engine, "seesaw-1").model_version == first.version
    assert engine.learning.models.roll_back("t") is None
    assert forecast(engine, "seesaw-1") == before


def test_an_earlier_day(engine: Engine) -> None:
    """A batch of an earlier day gets the base model: what was learned or observed later would know what came."""
    enrol(engine, "seesaw", 45, seesaw)
    version = train(engine).version
    of = week_forecaster("t", engine.forecasting)
    made = [of(engine.mastery.facts.read("t", "seesaw-1", day), day) for day in (TODAY + 1, TODAY, TODAY - 1, TODAY - 2)]
    assert [each.model_version for each in made] == [version, version, BASE_VERSION, BASE_VERSION]
    observed = [engine.learned_models.observed("t", "seesaw", TODAY + days) is not None for days in range(-2, 4)]
    assert observed == [False, False, True, True, True, False]


def test_it_outlives_the_processes(engine: Engine) -> None:
    """A new process answers as the old one did."""
    enrol(engine, "seesaw", 45, seesaw)
    train(engine)
    told = forecast(engine, "seesaw-1")
    engine.forecasts.erase("t", ["seesaw-1"])
    restarted = bootstrap(engine.settings, clock=engine.clock)
    assert forecast(restarted, "seesaw-1") == told
    restarted.redis.close()


def test_a_tenant_learns_from_its_own_students_only(engine: Engine) -> None:
    """Another tenant has no model, and the facts of one change nothing in the other's."""
    enrol(engine, "seesaw", 45, seesaw)
    alone = train(engine)
    enrol(engine, "seesaw", 60, standstill, tenant="other")
    assert forecast(engine, "seesaw-1", "other").model == BASE
    beside = train(engine, 1)
    assert engine.learning.models.content("t", alone.version) == engine.learning.models.content("t", beside.version)
    assert (beside.students, engine.learning.models.summaries("other")) == (45, {})


def test_nobody_is_learned_from_without_consent(engine: Engine) -> None:
    """Neither by the model nor in what it looks at of the cohort."""
    names = enrol(engine, "seesaw", 45, seesaw)
    for student in names[:36]:
        by = Author("student", "x")
        change_consent("t", student, {Purpose.PREDICTIONS: False}, by, consents=engine.consents, now=NOW)
    with pytest.raises(TooLittleToLearn, match=r"there are 2\d\d students and days to learn from; 1,000 are needed"):
        train(engine)
    for student in names[5:36]:
        by = Author("student", "x")
        change_consent("t", student, {Purpose.PREDICTIONS: True}, by, consents=engine.consents, now=NOW)
    assert train(engine).students == 40


def test_too_little_to_learn_from(engine: Engine) -> None:
    """Nothing is stored, the base model answers, and the next training is due another day."""
    enrol(engine, "seesaw", 10, seesaw)
    with pytest.raises(TooLittleToLearn):
        train(engine)
    assert (engine.learning.models.summaries("t"), forecast(engine, "seesaw-1").model) == ({}, BASE)
    latest = engine.learning.models.latest_attempt("t")
    assert latest is not None
    assert "1,000 are needed" in latest.outcome
    assert [latest.is_due(TODAY + days, 2) for days in (-1, 0, 1, 2)] == [True, False, False, True]


def test_two_trainings_at_once(engine: Engine) -> None:
    """The second one is refused, and says why; the first one is not disturbed."""
    enrol(engine, "seesaw", 45, seesaw)
    first = Thread(target=train, args=(engine,))
    first.start()
    other = bootstrap(engine.settings, clock=engine.clock)
    while not other.redis.exists(f"{engine.settings.key_prefix}:{{t}}:training"):
        time.sleep(0.01)
    with pytest.raises(TrainingRuns, match="another process trains a model of t"):
        train(other, 1)
    first.join()
    assert list(engine.learning.models.summaries("t")) == [engine.learning.models.promoted("t")]
    other.redis.close()


def test_a_crash_in_between(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the model was stored, before it was promoted: the one before answers, and the next training is due at once."""
    enrol(engine, "seesaw", 45, seesaw)
    first = train(engine)
    engine.redis.hdel(f"{engine.settings.key_prefix}:{{t}}:model-use", "attempted")

    def crash(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(engine.learning.models, "promote", crash)
        with pytest.raises(SystemExit):
            train(engine, 1)
    assert engine.learning.models.latest_attempt("t") is None
    assert forecast(engine, "seesaw-1").model_version == first.version
    assert forecast(engine, "seesaw-1").model_version != train(engine, 2).version
    assert forecast(engine, "seesaw-1").model_version == engine.learning.models.promoted("t")


def test_a_tenant_that_is_erased_meanwhile(engine: Engine) -> None:
    """The model that is being trained of its students is not stored."""
    enrol(engine, "seesaw", 45, seesaw)
    models = engine.learning.models

    def on_step(_done: int, _of: int) -> None:
        models.drop("t")

    with pytest.raises(TrainingRuns, match="the models of t were deleted"):
        train_tenant_model("t", using=engine.training, now=NOW, on_step=on_step)
    assert (models.summaries("t"), models.promoted("t"), models.latest_attempt("t")) == ({}, None, None)


def test_a_model_that_is_no_better_any_more(engine: Engine) -> None:
    """The base model answers when the next one, on later days, is better for nobody: with intervals of its past errors."""
    enrol(engine, "seesaw", 45, seesaw)
    first = train(engine)
    assert engine.learning.models.promoted("t") == first.version
    engine.redis.delete(*engine.redis.scan_iter(f"{engine.settings.key_prefix}:{{t}}:student:*"))
    enrol(engine, "flat", 60, lambda _student, _day: 7)
    untrained = make_forecast(
        engine.mastery.facts.read("t", "flat-1", TODAY), TODAY, means=Means(BASE_MODEL, base_intervals(), 90)
    )
    second = train(engine, 1)
    assert (second.learned_answers, engine.learning.models.promoted("t")) == (False, second.version)
    assert engine.learning.models.latest_attempt("t") == Attempt(TODAY, CALIBRATED)
    told = forecast(engine, "flat-1")
    assert (told.model, told.model_version, told.week_ahead.score) == (BASE, second.version, untrained.week_ahead.score)
    assert told.week_ahead != untrained.week_ahead
    assert engine.learning.models.roll_back("t") == first.version


def test_a_damaged_model_is_withdrawn(engine: Engine) -> None:
    """Whoever finds it tries again, and the model before answers; a damaged summary is not used, and nobody is disturbed."""
    enrol(engine, "seesaw", 45, seesaw)
    first, second = train(engine), train(engine, 1)
    prefix = f"{engine.settings.key_prefix}:{{t}}"
    engine.redis.set(f"{prefix}:model:{second.version}", b"damaged")
    with pytest.raises(DependencyUnavailable, match="the learned model was withdrawn"):
        forecast(engine, "seesaw-1")
    assert forecast(engine, "seesaw-1").model_version == first.version
    restarted = bootstrap(engine.settings, clock=engine.clock)
    engine.redis.hset(f"{prefix}:models", first.version, b"{}")
    assert forecast(restarted, "seesaw-2").model == BASE
    assert restarted.learning.models.summaries("t")[first.version] is None
    with pytest.raises(NotFound):
        restarted.learning.models.content("t", "none")
    restarted.redis.close()
