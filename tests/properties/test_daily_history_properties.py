"""Mastery of many students as arrays is what the engine computes for each of them, whatever their facts, day and window."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.clock import Day
from app.mastery import trend
from app.mastery.components import History, mastery_history, window_components, window_on
from app.mastery.facts import DayFacts, first_retained_day
from app.mastery.formula import Components, mastery_score
from app.predictions.base_model import REGRESSION_DAYS
from app.predictions.daily_history import DailyHistory, Ints, components, daily_history, has_evidence, mastery
from app.predictions.features import outlook
from tests.properties.strategies import day_facts

TODAY = 20_000
FIRST = TODAY - 119
TIE = 1.000001e-6  # ties of the last decimal may be rounded to either side

retentions = st.sampled_from([14, 30, 90, 400])
# Most evidence is near the ends of retention windows, some of it on days that the history does not have.
days = st.one_of(st.integers(TODAY - 16, TODAY), st.integers(TODAY - 92, TODAY - 86), st.integers(FIRST - 5, TODAY + 5))
students = st.dictionaries(days, day_facts(), max_size=12)


def in_history(of: Mapping[Day, DayFacts]) -> dict[Day, DayFacts]:
    return {day: facts for day, facts in of.items() if FIRST <= day <= TODAY}


def as_seen_on(day: Day, of: Mapping[Day, DayFacts], retention: int) -> History:
    """What a query on this day computes: docs/decisions/0006."""
    first = first_retained_day(day, retention)
    return mastery_history({each: facts for each, facts in in_history(of).items() if first <= each <= day}, day)


def columns_of(*wanted: Day) -> Ints:
    return np.array(wanted) - FIRST


def components_at(history: DailyHistory, row: int, first: Day, last: Day) -> Components:
    """The components of one student, None without evidence."""
    found = components(history, columns_of(first), columns_of(last))[:, row, 0]
    return Components(*(None if np.isnan(each) else float(each) for each in found))


@given(st.lists(students, max_size=4), st.integers(FIRST, TODAY), retentions)
def test_the_components_of_a_day_are_those_of_its_window(
    cohort: Sequence[Mapping[Day, DayFacts]], day: Day, retention: int
) -> None:
    """Equal to the last bit, None exactly where there is none; students keep their order; other days are ignored."""
    history = daily_history(cohort, FIRST, TODAY)
    assert (history.students, history.days) == (len(cohort), TODAY - FIRST + 1)
    first = first_retained_day(day, retention)
    found = components(history, columns_of(first), columns_of(day))
    for row, of in enumerate(cohort):
        expected = window_components(window_on(in_history(of), day, retention))
        assert components_at(history, row, first, day) == expected
        assert has_evidence(found)[row, 0] == (expected != Components())
        assert abs(mastery(found)[row, 0] - mastery_score(expected)) <= TIE


@given(st.lists(students, min_size=1, max_size=3), st.integers(FIRST, TODAY), retentions)
def test_a_past_day_as_seen_on_a_later_one(cohort: Sequence[Mapping[Day, DayFacts]], day: Day, retention: int) -> None:
    """It lacks the evidence that has left the window since; before the first retained evidence it is 0."""
    history = daily_history(cohort, FIRST, TODAY)
    past = columns_of(*range(FIRST, day + 1))
    first = np.full_like(past, day - retention + 1 - FIRST)
    found = mastery(components(history, first, past))
    for row, of in enumerate(cohort):
        daily = as_seen_on(day, of, retention).daily
        expected = [daily.get(each, 0.0) for each in range(FIRST, day + 1)]
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=TIE)


@given(st.lists(students, min_size=1, max_size=3), st.integers(FIRST, TODAY), retentions)
def test_the_slope_of_the_latest_days_is_that_of_the_trend(
    cohort: Sequence[Mapping[Day, DayFacts]], day: Day, retention: int
) -> None:
    """Equal to ``app/mastery/trend.py``, also for histories too short for a slope, and for none."""
    seen = outlook(daily_history(cohort, FIRST, TODAY), retention, columns_of(day), [None])
    for row, of in enumerate(cohort):
        daily = as_seen_on(day, of, retention).daily
        assert seen.history_days[row, 0] == len(daily)
        assert abs(seen.trend.slope[row, 0] - trend.slope(daily, day)) <= TIE
        assert seen.features[row, 0, seen.names.index("slope_14")] == seen.trend.slope[row, 0]


@given(students, st.integers(FIRST, TODAY), retentions)
def test_the_line_of_the_base_model_is_numpy_s(of: Mapping[Day, DayFacts], day: Day, retention: int) -> None:
    """Number of days, mean and slope of up to thirty days; the slope is that of the features."""
    seen = outlook(daily_history([of], FIRST, TODAY), retention, columns_of(day), [None])
    latest = list(as_seen_on(day, of, retention).daily.values())[-REGRESSION_DAYS:]
    number, mean, slope = [float(each[0, 0]) for each in seen.regression]
    assert number == len(latest)
    assert abs(mean - (sum(latest) / len(latest) if latest else 0.0)) <= TIE
    expected = float(np.polyfit(range(len(latest)), latest, 1)[0]) if len(latest) >= 3 else 0.0
    assert abs(slope - expected) <= TIE
    assert seen.features[0, 0, seen.names.index("slope_30")] == slope
