"""What holds for the forecast of any record."""

import math
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts
from app.mastery.query_mastery import standing
from app.predictions.confidence import confidence
from app.predictions.forecast import Predicted, has_history
from app.predictions.forecast_model import BASE_MODEL, base_intervals
from app.predictions.make_forecast import Means, make_forecast
from app.predictions.predict_next_week import next_week
from app.predictions.predict_trajectory import trajectory

TODAY, INTERVALS = 20_000, base_intervals()
HUGE = 10**12


@st.composite
def day_facts(draw: st.DrawFn) -> DayFacts:
    """A day's facts, also odd ones: huge sums, days with nothing."""
    asked, submissions, total = (draw(st.integers(0, 3) | st.integers(0, HUGE)) for _ in range(3))
    return DayFacts(
        correct=draw(st.integers(0, asked)),
        asked=asked,
        quality_millionths=draw(st.integers(0, submissions * 1_000_000)),
        submissions=submissions,
        active=draw(st.integers(0, 1)),
        completed=draw(st.integers(0, total)),
        total=total,
    )


records = st.dictionaries(st.integers(TODAY - 89, TODAY), day_facts(), min_size=1, max_size=12)
whole_days = st.integers(0, 400)
fractions = st.floats(0, 1)


def numbers(told: Any) -> list[float]:
    """All numbers in an answer."""
    if isinstance(told, dict):
        return [each for value in told.values() for each in numbers(value)]
    if isinstance(told, list):
        return [each for value in told for each in numbers(value)]
    return [told] if isinstance(told, int | float) else []


@given(records, st.integers(14, 400))
def test_any_record_has_a_forecast(days: dict[int, DayFacts], retention_days: int) -> None:
    """Each number is finite, each score within 0 and 1 and in its interval; the current score is that of a query."""
    days = {day: facts for day, facts in days.items() if day > TODAY - retention_days} or {TODAY: DayFacts()}
    record = StudentRecord(None, days)
    made = make_forecast(record, TODAY, means=Means(BASE_MODEL, INTERVALS, retention_days))
    told = [to_builtins(next_week("s-1", made, 0.5)), to_builtins(trajectory("s-1", made, 30, 0.5))]
    assert all(math.isfinite(each) for each in numbers(told))
    for each in made.future:
        assert 0 <= each.lower <= each.score <= each.upper <= 1
    assert 0 <= made.confidence <= 1
    assert made.current == standing("s-1", record, TODAY).score
    assert len(made.future) == 30


class AnyModel(NamedTuple):
    """A model that says this of next week."""

    said: Predicted
    name: str = "learned"
    version: str = "1"

    def week_ahead(self, _record: StudentRecord, _today: int, _base: Predicted, /) -> Predicted:
        return self.said


@given(records, st.tuples(fractions, fractions, fractions).map(sorted))
def test_any_model_may_correct_the_base_model(days: dict[int, DayFacts], said: list[float]) -> None:
    """Its forecast is the answer; those of the other days stay within 0 and 1 and in their intervals."""
    lower, score, upper = said
    made = make_forecast(StudentRecord(None, days), TODAY, means=Means(AnyModel(Predicted(score, lower, upper)), INTERVALS, 90))
    for each in made.future:
        assert 0 <= each.lower <= each.score <= each.upper <= 1
    if has_history(made.history_days):
        assert made.week_ahead == pytest.approx((score, lower, upper), abs=1e-6)


@given(whole_days, whole_days, fractions, whole_days)
def test_confidence_rises_with_history(some: int, more: int, coverage: float, idle: int) -> None:
    """All else equal."""
    assert confidence(1 + some, coverage, idle) <= confidence(1 + some + more, coverage, idle)
    assert confidence(1 + some, coverage, 0) < confidence(2 + some + more, coverage, 0)


@given(whole_days, fractions, fractions, whole_days)
def test_confidence_falls_with_missing_components(history: int, one: float, other: float, idle: int) -> None:
    """All else equal."""
    less, more = sorted((one, other))
    assert confidence(1 + history, less, idle) <= confidence(1 + history, more, idle)
    assert confidence(1 + history, 0.7, 0) < confidence(1 + history, 1.0, 0)


@given(whole_days, fractions, whole_days, whole_days)
def test_confidence_falls_with_staleness(history: int, coverage: float, idle: int, longer: int) -> None:
    """All else equal."""
    assert confidence(1 + history, coverage, idle + longer) <= confidence(1 + history, coverage, idle)
    assert confidence(1 + history, coverage, 14) < confidence(1 + history, coverage, 0)
