"""Of which days a trend is, and what it says of few students."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from app.analytics.weekly_means import WEEKS, WeeklySums, ends_of_weeks, no_sums, weekly_sums, weeks_of
from app.clock import day_date, day_number
from app.mastery.facts import DayFacts

TODAY = day_number(date(2026, 10, 28))


@pytest.mark.parametrize("later", range(14))
def test_the_days(later: int) -> None:
    """Twelve Sundays before today in a row, the last one in the last week, and today."""
    today = TODAY + later
    *sundays, last = map(day_date, ends_of_weeks(today))
    assert (len(sundays), last) == (WEEKS, day_date(today))
    assert {each.isoweekday() for each in sundays} == {7}
    assert {after - before for before, after in pairwise(sundays)} == {timedelta(days=7)}
    assert 1 <= (last - sundays[-1]).days <= 7
    assert len({week.week for week in weeks_of(ends_of_weeks(today), no_sums(ends_of_weeks(today)))}) == WEEKS + 1


def test_the_turn_of_the_year() -> None:
    """A week has the year that most of its days are in."""
    days = [day_number(date(2027, 1, 3)), day_number(date(2027, 1, 4))]
    assert [each.week for each in weeks_of(days, no_sums(days))] == ["2026-W53", "2027-W01"]


def test_too_few_students() -> None:
    """Four have no mean, five have one, rounded to six decimals."""
    sums = WeeklySums(np.array([4, 2_000_001, 0]), np.array([4, 5, 0]))
    found = weeks_of([TODAY - 3, TODAY - 2, TODAY], sums)
    assert [(each.mean, each.students) for each in found] == [(None, 4), (0.4, 5), (None, 0)]


def test_before_any_evidence() -> None:
    """A student counts from the first day with evidence on; the others' sums are added."""
    student = {TODAY - 1: DayFacts(correct=5, asked=10)}
    sums = weekly_sums([student], [TODAY - 2, TODAY - 1, TODAY], TODAY, 90)
    assert (sums.totals.tolist(), sums.students.tolist()) == ([0, 150_000, 150_000], [0, 1, 1])
    twice = sums.plus(sums)
    assert (twice.totals.tolist(), twice.students.tolist()) == ([0, 300_000, 300_000], [0, 2, 2])


def test_a_short_retention() -> None:
    """Weeks before it have nobody."""
    days = ends_of_weeks(TODAY)
    sums = weekly_sums([{TODAY - 20: DayFacts(correct=5, asked=10), TODAY: DayFacts(correct=5, asked=10)}], days, TODAY, 7)
    assert sums.students.tolist() == [0] * 12 + [1]
