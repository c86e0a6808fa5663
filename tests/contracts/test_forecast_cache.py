"""The cache of forecasts, on every server: a stored forecast counts only while nothing that it depends on has changed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.bootstrap import Engine
from app.clock import Day
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.errors import ConsentWithdrawn, NotFound
from app.mastery.evidence import QUIZ
from app.mastery.fact_store import StudentRecord
from app.predictions import current_forecast as module
from app.predictions.current_forecast import Forecasting, current_forecast, stored_forecast
from app.predictions.forecast import Forecast, Predicted
from app.predictions.forecast_cache import CLAIM_SECONDS
from app.predictions.forecast_model import BASE_MODEL, BaseModel
from app.purposes import Purpose
from app.storage.erased import Erased
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation


def evidence(engine: Engine, number: int, student: str = "s-1") -> None:
    merge(engine, observation(number, TODAY - 10, QUIZ, 8, 10), student=student)


def decide(engine: Engine, *, given: bool) -> None:
    by = Author("student", "x")
    change_consent("t", "s-1", {Purpose.PREDICTIONS: given}, by, consents=engine.consents, now=NOW)


def current(engine: Engine, student: str = "s-1", **using: Any) -> Forecast:
    return current_forecast("t", student, using=engine.forecasting._replace(**using), now=NOW)


def stored(engine: Engine, student: str = "s-1", days: int = 0, **using: Any) -> Forecast | None:
    return stored_forecast("t", student, using=engine.forecasting._replace(**using), now=NOW + timedelta(days=days))


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With a forecast of s-1."""
    evidence(engine, 1)
    assert stored(engine) is None
    current(engine)
    return engine


def test_a_forecast_is_stored(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was made; the next call returns it without computing. It expires after the setting's time."""
    made = current(engine)
    monkeypatch.setattr(module, "make_forecast", None)
    assert current(engine) == stored(engine) == made
    (seconds,) = {engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:forecast:s-1")}
    assert 3590 <= seconds <= 3600


def test_a_new_event(engine: Engine) -> None:
    """Is never answered with the old forecast, and another student's event changes nothing."""
    evidence(engine, 2, "s-2")
    assert stored(engine) is not None
    evidence(engine, 3)
    assert stored(engine) is None
    assert current(engine).signs.quiz == 0.8


def test_a_repeated_event(engine: Engine) -> None:
    """Changes no facts, so the forecast stays."""
    evidence(engine, 1)
    assert stored(engine) is not None


def test_the_next_day(engine: Engine) -> None:
    assert stored(engine, days=1) is None


def test_another_model(engine: Engine) -> None:
    """Of another version, or name; also if only this cohort has it."""
    assert stored(engine, models=lambda *_: BaseModel(version="other")) is None
    assert stored(engine, models=lambda *_: BaseModel(name="learned")) is None
    for cohort, is_stored in (("c-1", False), ("c-2", True)):
        found = stored(
            engine, models=lambda _, of, _day, other=cohort: BaseModel(version="other") if of == other else BASE_MODEL
        )
        assert (found is not None) == is_stored


def test_another_retention(engine: Engine) -> None:
    """Set by an operator, with a restart."""
    engine.mastery.facts.retention_days = 60
    assert stored(engine) is None


def test_consent_withdrawn(engine: Engine) -> None:
    """The stored forecast is not shown, nor a new one made; given again, one is made anew."""
    decide(engine, given=False)
    for call in (stored, current):
        with pytest.raises(ConsentWithdrawn):
            call(engine)
    decide(engine, given=True)
    assert stored(engine) is None
    current(engine)
    assert stored(engine) is not None


def test_another_version_s_entry(engine: Engine) -> None:
    """Is not used, and no error."""
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:forecast:s-1", b"\x93\x01\x02\x03")
    assert stored(engine) is None
    current(engine)
    assert stored(engine) is not None


def test_students_and_tenants_do_not_mix(engine: Engine) -> None:
    """Others have no forecast, and no facts."""
    evidence(engine, 4, "s-2")
    assert stored(engine, "s-2") is None
    with pytest.raises(NotFound):
        stored_forecast("u", "s-1", using=engine.forecasting, now=NOW)


class Interrupted(Exception):
    """A model fails."""


def during(change: Callable[[], object]) -> Callable[..., Any]:
    """Models of which one lets something happen while it computes."""

    class Slow(BaseModel):
        def week_ahead(self, record: StudentRecord, today: Day, base: Predicted, /) -> Predicted:
            change()
            return super().week_ahead(record, today, base)

    return lambda *_: Slow(version="slow")


@pytest.mark.parametrize("what", ["event", "consent", "erasure", "erasure and return"])
def test_what_changes_while_it_is_computed(engine: Engine, what: str) -> None:
    """Then the forecast is not stored: it would be an old one, or bring back somebody who was erased."""

    def change() -> None:
        match what:
            case "event":
                evidence(engine, 7)
            case "consent":
                decide(engine, given=False)
            case _:
                engine.mastery.facts.erase("t", {"s-1": 1})
                engine.forecasts.erase("t", ["s-1"])
        if what == "erasure and return":
            merge(engine, observation(8, TODAY, QUIZ, 1, 10, stamp=2**53 - 1))

    engine.forecasts.erase("t", ["s-1"])
    current(engine, models=during(change))
    assert not {key for key in keys(engine) if key.startswith("{t}:forecast:")}


def test_an_erasure(engine: Engine) -> None:
    """Removes the forecast and the claim of these students only."""
    evidence(engine, 2, "s-2")
    current(engine, "s-2")
    engine.forecasts.claim("t", "s-1").take()
    assert engine.forecasts.erase("t", ["s-1", "s-3"]) == Erased(2)
    assert {key for key in keys(engine) if key.startswith(("{t}:forecast:", "{t}:forecasting:"))} == {"{t}:forecast:s-2"}
    assert engine.student_data["forecasts"] is engine.forecasts


def test_the_erasure_of_a_tenant_finds_forecasts(engine: Engine) -> None:
    """Of a student whose facts are gone."""
    engine.mastery.facts.erase("t", {"s-1": 1})
    engine.forecast_records.erase("t", ["s-1"])
    assert [each for page in engine.student_keys.students("t") for each in page] == ["s-1"]


def test_one_computes(engine: Engine) -> None:
    """Whoever claims first; until it is done, or the claim has ended by itself."""
    assert [engine.forecasts.claim("t", student).take() for student in ("s-1", "s-1", "s-2")] == [True, False, True]
    assert 0 < engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:forecasting:s-1") <= CLAIM_SECONDS
    engine.forecasts.claim("t", "s-1").release()
    assert engine.forecasts.claim("t", "s-1").take()


def test_a_stampede_computes_once(engine: Engine) -> None:
    """Twenty callers at the same time get the same forecast, and one of them has computed it."""
    evidence(engine, 9)
    computed: list[float] = []

    def note() -> None:
        computed.append(time.monotonic())
        time.sleep(0.2)  # so that the others come meanwhile

    with ThreadPoolExecutor(20) as callers:
        found = set(callers.map(lambda _: tuple(current(engine, models=during(note)).future), range(20)))
    assert (len(found), len(computed)) == (1, 1)


def test_one_who_computes_and_dies(engine: Engine) -> None:
    """The others compute when the claim has ended by itself."""
    evidence(engine, 9)
    engine.forecasts.claim("t", "s-1").take()
    began = time.monotonic()
    assert current(engine) == stored(engine)
    assert CLAIM_SECONDS - 1 < time.monotonic() - began < CLAIM_SECONDS + 2


def test_a_computation_that_fails_ends_its_claim(engine: Engine) -> None:
    """So that the others do not wait."""

    def fail() -> None:
        raise Interrupted

    evidence(engine, 9)
    with pytest.raises(Interrupted):
        current(engine, models=during(fail))
    assert engine.forecasts.claim("t", "s-1").take()


def test_no_evidence(engine: Engine) -> None:
    """A student without facts, or whose facts have all expired."""
    merge(engine, observation(1, TODAY - 80, QUIZ, 8, 10), student="s-old")
    using: Forecasting = engine.forecasting
    for student, days in (("s-nobody", 0), ("s-old", 30)):
        with pytest.raises(NotFound):
            current_forecast("t", student, using=using, now=NOW + timedelta(days=days))
