"""Points and their statistics, compared with values computed by hand."""

import itertools
import statistics
from datetime import date, timedelta

import pytest
from msgspec import structs

from app.analytics.mastery_history import (
    POINT_COLUMNS,
    Aggregation,
    KnownDay,
    Mastery,
    known_days,
    point_line,
    points,
    summarize,
)
from app.clock import day_date, day_number
from app.mastery.components import mastery_history
from app.mastery.facts import DayFacts
from app.mastery.formula import Level, classify, rounded
from app.mastery.trend import Trend

NEW_YEAR = day_number(date(2027, 1, 1))  # a Friday; of the week 2026-W53


def days_of(scores: list[float], first: int = NEW_YEAR, without: tuple[int, ...] = ()) -> list[KnownDay]:
    """Days in a row with these scores; all have evidence but those at the positions ``without``."""
    return [KnownDay(first + at, day_date(first + at), mastery_of(score), at not in without) for at, score in enumerate(scores)]


def mastery_of(score: float) -> Mastery:
    return Mastery(score, classify(score), {"completion": score, "quiz": None, "quality": None, "consistency": None})


def test_days_begin_with_the_first_evidence() -> None:
    """Each has the mastery and the components that a query for it computes, and whether something happened."""
    facts = {NEW_YEAR: DayFacts(correct=5, asked=10, active=1), NEW_YEAR + 2: DayFacts(completed=1, total=4)}
    known = list(known_days(facts, NEW_YEAR + 3))
    assert [(each.day - NEW_YEAR, each.mastery.score, each.has_evidence) for each in known] == [
        (0, 0.157143, True),
        (1, 0.157143, False),
        (2, 0.257143, True),
        (3, 0.257143, False),
    ]
    for each in known:
        daily, components = mastery_history({day: of for day, of in facts.items() if day <= each.day}, each.day)
        assert each.date == day_date(each.day)
        assert each.mastery == (daily[each.day], classify(daily[each.day]), rounded(components))
    assert list(known_days({}, NEW_YEAR)) == []


def test_a_day_is_a_period_of_one_day() -> None:
    """All its values are that of the day."""
    (point,) = points(days_of([0.3], without=(0,)), Aggregation.DAILY)
    assert (point.period, point.start, point.end) == ("2027-01-01", date(2027, 1, 1), date(2027, 1, 1))
    assert [point.mean, point.min, point.max, point.last] == [0.3] * 4
    assert (point.level, point.days_with_evidence) == (Level.BEGINNER, 0)
    assert point.components == mastery_of(0.3).components


def test_a_day_has_what_a_week_of_one_day_has() -> None:
    """Days are computed apart, as they are asked for most."""
    for known in days_of([0.3, 0.7], NEW_YEAR, without=(1,)):
        (day,), (week,) = (points([known], aggregation) for aggregation in (Aggregation.DAILY, Aggregation.WEEKLY))
        assert structs.replace(week, period=day.period) == day


def test_weeks_are_those_of_iso_8601() -> None:
    """From Monday to Sunday; the first days of a year may belong to the last week of the one before."""
    found = points(days_of([0.4] * 12, NEW_YEAR - 5), Aggregation.WEEKLY)
    assert [(each.period, each.start, each.end) for each in found] == [
        ("2026-W52", date(2026, 12, 27), date(2026, 12, 27)),
        ("2026-W53", date(2026, 12, 28), date(2027, 1, 3)),
        ("2027-W01", date(2027, 1, 4), date(2027, 1, 7)),
    ]
    assert points(days_of([0.4], NEW_YEAR + 3), Aggregation.WEEKLY)[0].period == "2027-W01"


def test_months_are_those_of_the_calendar() -> None:
    """The first and the last one are clipped to the days that are given."""
    found = points(days_of([0.4] * 40, NEW_YEAR - 3), Aggregation.MONTHLY)
    assert [(each.period, each.start, each.end) for each in found] == [
        ("2026-12", date(2026, 12, 29), date(2026, 12, 31)),
        ("2027-01", date(2027, 1, 1), date(2027, 1, 31)),
        ("2027-02", date(2027, 2, 1), date(2027, 2, 6)),
    ]


def test_what_is_told_of_a_period() -> None:
    """Mean 0.35 of four days; level and components are those of the last one; two days have evidence."""
    (point,) = points(days_of([0.2, 0.1, 0.7, 0.4], without=(1, 2)), Aggregation.MONTHLY)
    assert (point.mean, point.min, point.max, point.last, point.level) == (0.35, 0.1, 0.7, 0.4, Level.DEVELOPING)
    assert point.components == {"completion": 0.4, "quiz": None, "quality": None, "consistency": None}
    assert point.days_with_evidence == 2
    assert dict(zip(POINT_COLUMNS, point_line(point), strict=True)) == {
        "period": "2027-01",
        "start": date(2027, 1, 1),
        "end": date(2027, 1, 4),
        "mean": 0.35,
        "min": 0.1,
        "max": 0.7,
        "last": 0.4,
        "level": "developing",
        "days_with_evidence": 2,
        **point.components,
    }


def test_the_summary_is_of_the_days_of_the_range() -> None:
    """Of 0.1, 0.2, 0.4, 0.3; the day before counts for the trend only.

    The mean is 0.25, the variance 0.0125. The changes are 0.1, 0.2, −0.1: their mean is 0.0667, their variance 0.015556.
    """
    found = summarize(days_of([0.9, 0.1, 0.2, 0.4, 0.3], without=(1, 3)), NEW_YEAR + 1)
    assert (found.mean, found.median, found.lower_quartile, found.upper_quartile) == (0.25, 0.25, 0.175, 0.325)
    assert (found.standard_deviation, found.volatility) == (0.111803, 0.124722)
    assert (found.first, found.last, found.change) == (0.1, 0.3, 0.2)
    assert (found.days_with_evidence, found.longest_streak) == (2, 1)
    assert found.trend is Trend.DECLINING


def test_deviations_are_those_of_the_standard_library() -> None:
    """To six decimals."""
    scores = [0.123456, 0.623451, 0.8, 0.799999, 0.000001, 1.0]
    changes = [later - earlier for earlier, later in itertools.pairwise(scores)]
    found = summarize(days_of(scores), NEW_YEAR)
    assert found.standard_deviation == round(statistics.pstdev(scores), 6)
    assert found.volatility == round(statistics.pstdev(changes), 6)


@pytest.mark.parametrize(
    ("without", "streak"), [((), 6), ((0, 5), 4), ((2,), 3), ((0, 2, 4), 1), ((3, 4, 5), 3), (tuple(range(6)), 0)]
)
def test_the_longest_streak(without: tuple[int, ...], streak: int) -> None:
    """The most days in a row with evidence."""
    assert summarize(days_of([0.5] * 6, without=without), NEW_YEAR).longest_streak == streak


def test_a_streak_begins_in_the_range() -> None:
    """Earlier days do not count."""
    assert summarize(days_of([0.5] * 6), NEW_YEAR + 4).longest_streak == 2


def test_a_single_day() -> None:
    """It is its own mean and quartiles, and has no volatility."""
    found = summarize(days_of([0.3, 0.6]), NEW_YEAR + 1)
    assert {found.mean, found.median, found.lower_quartile, found.upper_quartile, found.first, found.last} == {0.6}
    assert (found.standard_deviation, found.volatility, found.change) == (0.0, None, 0.0)


def test_two_days_have_one_change() -> None:
    """Which does not vary."""
    assert summarize(days_of([0.3, 0.6]), NEW_YEAR).volatility == 0.0


def test_each_day_is_in_one_point() -> None:
    """Whatever the aggregation."""
    known = days_of([0.5] * 90, NEW_YEAR - 30)
    for aggregation in Aggregation:
        found = points(known, aggregation)
        covered = [each.start + timedelta(days=more) for each in found for more in range((each.end - each.start).days + 1)]
        assert [day_number(day) for day in covered] == [each.day for each in known]
