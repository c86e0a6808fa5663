"""Forecasts are recorded until their day is over, and scored exactly once, on every server."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest

from app.bootstrap import Engine
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.mastery.evidence import ACTIVITY, QUIZ
from app.predictions.current_forecast import current_forecast
from app.predictions.forecast import WEEK, Forecast
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.forecast_model import BaseModel
from app.predictions.forecast_records import KEPT_SECONDS, Settled, decode_forecast
from app.predictions.recorded_forecast import Origin, outcome_on, recorded
from app.predictions.score_forecasts import score_forecasts
from app.purposes import Purpose
from app.storage.erased import Erased
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation

TARGET = TODAY + WEEK
PREFIX = "{t}:recorded-forecasts"


def forecast(engine: Engine, student: str = "s-1", days: int = 0, version: str = "1") -> Forecast:
    using = engine.forecasting._replace(models=lambda *_: BaseModel(version=version))
    return current_forecast("t", student, using=using, now=NOW + timedelta(days=days))


def evidence(engine: Engine, number: int, student: str = "s-1", day: int = TODAY - 10, correct: int = 8) -> None:
    merge(engine, observation(number, day, QUIZ, correct, 10), student=student)


def stored(engine: Engine, day: int = TARGET) -> dict[str, bytes]:
    return engine.forecast_records.some("t", day, 100)


def score(engine: Engine, days: int = WEEK + 1, batch: int = 2) -> int:
    """How many forecasts count, so many days later."""
    steps = score_forecasts(
        records=engine.forecast_records,
        stores=engine.mastery,
        consents=engine.consents,
        now=NOW + timedelta(days=days),
        batch=batch,
    )
    return sum(each.forecasts for each in steps)


def sums(engine: Engine, cohort: str = "") -> dict[str, str]:
    key = f"{engine.settings.key_prefix}:{{t}}:accuracy{cohort and ':'}{cohort}"
    found = cast("dict[bytes, bytes]", engine.redis.hgetall(key))
    return {field.decode(): value.decode() for field, value in found.items()}


def decide(engine: Engine, student: str, *, given: bool) -> None:
    by = Author("student", "x")
    change_consent("t", student, {Purpose.PREDICTIONS: given}, by, consents=engine.consents, now=NOW)


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With a forecast of s-1 for the day in a week."""
    evidence(engine, 1)
    forecast(engine)
    return engine


def test_a_forecast_is_recorded(engine: Engine) -> None:
    """With what it says of the day in a week; a forecast from the cache is not recorded again."""
    made = decode_forecast(stored(engine)["s-1"])
    assert made == recorded(forecast(engine))
    assert made is not None
    assert (made.score, made.cohort_id, made.model, made.model_version) == (
        forecast(engine).week_ahead.score,
        "c-1",
        "base",
        "1",
    )
    assert engine.forecast_records.days("t") == [TARGET]
    engine.forecast_records.erase("t", ["s-1"])
    forecast(engine)
    assert stored(engine) == {}


def test_too_little_history(engine: Engine) -> None:
    """What is told of a student with less than three days is no model's forecast: it is not recorded."""
    evidence(engine, 2, "s-2", TODAY - 1)
    assert forecast(engine, "s-2").history_days == 2
    evidence(engine, 3, "s-3", TODAY - 2)
    forecast(engine, "s-3")
    assert stored(engine).keys() == {"s-1", "s-3"}


def test_the_last_forecast_of_a_day_counts(engine: Engine) -> None:
    """One for each student and day, however often someone asks; tomorrow's is for another day."""
    evidence(engine, 2, correct=1)
    made = forecast(engine, version="2")
    assert stored(engine).keys() == {"s-1"}
    assert decode_forecast(stored(engine)["s-1"]) == recorded(made)
    forecast(engine, days=1)
    assert engine.forecast_records.days("t") == [TARGET, TARGET + 1]


def test_a_forecast_expires(engine: Engine) -> None:
    """Some days after its day, if no worker scores it: nothing is left."""
    prefix = f"{engine.settings.key_prefix}:{{t}}:"
    for key in (f"{prefix}recorded-forecasts:{TARGET}", f"{prefix}forecast-days"):
        assert KEPT_SECONDS - 60 < engine.redis.ttl(key) <= KEPT_SECONDS == 11 * 86_400


def test_scoring(engine: Engine) -> None:
    """The error is that between the forecast and the mastery of its day, whatever came afterwards."""
    made = decode_forecast(stored(engine)["s-1"])
    assert made is not None
    evidence(engine, 2, day=TARGET, correct=0)  # mastery is now 0.3 · 8/20
    evidence(engine, 3, day=TARGET + 1, correct=10)
    off = round(1e6 * abs(made.score - 0.12))
    assert off > 100_000
    assert score(engine) == 1
    inside = int(made.lower <= 0.12 <= made.upper)
    expected = {f"{TARGET} base 1": f"1 {off} {round(off * off / 1e6)} 0 {inside}"}
    assert sums(engine) == sums(engine, "c-1") == expected
    assert stored(engine) == {}
    assert engine.forecast_records.days("t") == []


def test_a_day_that_is_not_over(engine: Engine) -> None:
    """Is not scored: its mastery may still change."""
    assert score(engine, days=WEEK) == 0
    assert stored(engine).keys() == {"s-1"}


def test_sums_add_up(engine: Engine) -> None:
    """Over the students of a tenant, by cohort, day and model; a student without a cohort counts in the tenant only."""
    for number in range(2, 8):
        cohort = "" if number == 7 else f"c-{number % 2}"
        merge(engine, observation(number, TODAY - 10, QUIZ, 8, 10, cohort), student=f"s-{number}")
        forecast(engine, f"s-{number}", version="1" if number < 7 else "2")
    assert score(engine) == 7
    numbers = {name: {key: int(value.split()[0]) for key, value in sums(engine, name).items()} for name in ("", "c-0", "c-1")}
    day = f"{TARGET} base"
    assert numbers == {"": {f"{day} 1": 6, f"{day} 2": 1}, "c-0": {f"{day} 1": 3}, "c-1": {f"{day} 1": 3}}
    assert score(engine) == 0


def test_each_counts_once(engine: Engine) -> None:
    """A worker that dies after a step, or two at the same time: what was settled before is not added again."""
    (student,) = read = stored(engine)
    scored = Settled(read[student], "c-1", Origin(TARGET, "base", "1"), ForecastErrors(1, 0.25, 0.0625, 0, 1))
    assert [engine.forecast_records.settle("t", TARGET, {student: scored}) for _ in range(3)] == [1, 0, 0]
    assert sums(engine) == sums(engine, "c-1") == {f"{TARGET} base 1": "1 250000 62500 0 1"}


def test_a_forecast_that_was_replaced(engine: Engine) -> None:
    """After it was read to be scored: the new one stays."""
    old = Settled(stored(engine)["s-1"], "c-1", Origin(TARGET, "base", "1"), ForecastErrors(1))
    forecast(engine, version="2")
    assert engine.forecast_records.settle("t", TARGET, {"s-1": old}) == 0
    assert stored(engine).keys() == {"s-1"}


def withdraw(engine: Engine) -> None:
    decide(engine, "s-1", given=False)


def lose_facts(engine: Engine) -> None:
    engine.mastery.facts.erase("t", {"s-1": 1})


def garble(engine: Engine) -> None:
    engine.redis.hset(f"{engine.settings.key_prefix}:{PREFIX}:{TARGET}", "s-1", b"\x92\x01\x02")


def damage(engine: Engine) -> None:
    engine.redis.hset(f"{engine.settings.key_prefix}:{{t}}:student:s-1", str(TODAY - 10), b"\xc1")


@pytest.mark.parametrize("change", [withdraw, lose_facts, garble, damage])
def test_what_counts_nowhere(engine: Engine, change: Callable[[Engine], None]) -> None:
    """Consent withdrawn, facts expired, or a forecast or facts that cannot be read; the other student counts."""
    evidence(engine, 2, "s-2")
    forecast(engine, "s-2")
    change(engine)
    assert score(engine) == 1
    assert stored(engine) == {}


def test_an_erasure(engine: Engine) -> None:
    """Removes the forecasts of these students for all days, and nothing else; afterwards nothing of them is recorded."""
    forecast(engine, days=1)
    evidence(engine, 2, "s-2")
    forecast(engine, "s-2")
    assert engine.forecast_records.erase("t", ["s-1", "s-3"]) == Erased(2)
    assert list(stored(engine)) == ["s-2"]
    assert stored(engine, TARGET + 1) == {}
    assert engine.student_data["recorded forecasts"] is engine.forecast_records


@pytest.mark.parametrize("what", ["event", "consent", "erasure"])
def test_what_changes_while_it_is_computed(engine: Engine, what: str) -> None:
    """Then it is not recorded: it would be an old one, or one of somebody who was erased or does not allow it."""
    cached, consent, made = engine.forecasts.read("t", "s-1"), engine.consents.read("t", "s-1"), forecast(engine)
    engine.forecast_records.erase("t", ["s-1"])
    match what:
        case "event":
            evidence(engine, 7)
        case "consent":
            decide(engine, "s-1", given=False)
        case _:
            lose_facts(engine)
    assert not engine.forecast_records.remember("t", "s-1", cached, consent, made)
    assert stored(engine) == {}


def test_the_erasure_of_a_tenant_finds_it(engine: Engine) -> None:
    """Of a student who has nothing else."""
    lose_facts(engine)
    engine.forecasts.erase("t", ["s-1"])
    assert [each for page in engine.student_keys.students("t") for each in page] == ["s-1"]
    assert {key for key in keys(engine) if "s-1" in key} == set()


def test_an_export(engine: Engine) -> None:
    """Has each recorded forecast of the student."""
    forecast(engine, days=1)
    evidence(engine, 2, "s-2")
    forecast(engine, "s-2")
    first, second = engine.exported_data["recorded_forecasts"]("t", "s-1").rows()
    assert (first["date"], second["date"]) == ("2026-11-04", "2026-11-05")
    assert first["predicted_score"] == forecast(engine).week_ahead.score
    assert list(engine.exported_data["recorded_forecasts"]("u", "s-1").rows()) == []


def test_old_sums_are_dropped(engine: Engine) -> None:
    """When a new day is added, those beyond the setting; and all of them if nothing is added for so long."""
    scored = Settled(stored(engine)["s-1"], "c-1", Origin(TARGET, "base", "1"), ForecastErrors(1))
    prefix = f"{engine.settings.key_prefix}:{{t}}:accuracy"
    for key in (prefix, f"{prefix}:c-1"):
        engine.redis.hset(key, mapping={f"{TARGET - age} base 1": "1 0 0 0 0" for age in (1, 90, 91, 200)})
    engine.forecast_records.settle("t", TARGET, {"s-1": scored})
    for cohort in ("", "c-1"):
        assert sums(engine, cohort).keys() == {f"{TARGET - age} base 1" for age in (0, 1, 90)}
    assert 90 * 86_400 - 60 < engine.redis.ttl(prefix) <= 90 * 86_400


def test_mastery_as_of_its_day(engine: Engine) -> None:
    """From the window that ends on that day: what came later, or had left before, does not count."""
    merge(engine, observation(5, TODAY, ACTIVITY), observation(6, TARGET + 2, QUIZ, 0, 10), today=TARGET + 2)
    record = engine.mastery.facts.read("t", "s-1", TARGET + 2)
    assert outcome_on(record, TARGET, 90) == pytest.approx(0.3 * 0.8 + 0.1 / 14, abs=1e-6)
    assert outcome_on(record, TARGET, 14) == pytest.approx(0.1 / 14, abs=1e-6)
