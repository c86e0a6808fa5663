"""A student's mastery by day, week or month, and statistics of its days. Pure.

The mastery of each day is that of ``POST /mastery/query`` with this date. Days before the first retained evidence are left out:
mastery is unknown then, not 0.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from itertools import groupby, pairwise
from math import sqrt
from statistics import fmean, quantiles
from typing import NamedTuple

from msgspec import Struct

from app.clock import Day, day_date
from app.mastery.components import daily_components
from app.mastery.facts import DayFacts
from app.mastery.formula import DECIMALS, Components, Level, classify, mastery_score, rounded
from app.mastery.trend import Trend, trend


class Aggregation(StrEnum):
    """How long the period of a point is."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Mastery(NamedTuple):
    """A score, 0..1, its level, and the components as they are told."""

    score: float
    level: Level
    components: dict[str, float | None]


class KnownDay(NamedTuple):
    """A student's mastery at the end of a day, and whether there is evidence of this day itself."""

    day: Day
    date: date
    mastery: Mastery
    has_evidence: bool


class Point(Struct, frozen=True, kw_only=True):
    """Mastery in a period, 0..1: mean, minimum and maximum of its daily values, and the last one.

    ``start`` and ``end`` are the first and the last day that count. Level and components are those of the last one.
    """

    period: str
    start: date
    end: date
    mean: float
    min: float
    max: float
    last: float
    level: Level
    components: dict[str, float | None]
    days_with_evidence: int


class Summary(Struct, frozen=True, kw_only=True):
    """Statistics of the daily mastery of a range, 0..1.

    ``change`` is from the first day to the last one. ``volatility`` is the standard deviation of the changes from day to day,
    None of a single day. ``trend`` is that of the last day, as a query tells it. ``longest_streak`` is the number of days in a
    row with evidence.
    """

    mean: float
    median: float
    standard_deviation: float
    lower_quartile: float
    upper_quartile: float
    first: float
    last: float
    change: float
    trend: Trend
    volatility: float | None
    longest_streak: int
    days_with_evidence: int


POINT_COLUMNS = ("period", "start", "end", "mean", "min", "max", "last", "level", *Components._fields, "days_with_evidence")

_PERIODS: Mapping[Aggregation, Callable[[date], str]] = {
    Aggregation.WEEKLY: lambda day: "{0.year}-W{0.week:02}".format(day.isocalendar()),
    Aggregation.MONTHLY: lambda day: f"{day:%Y-%m}",
}
_NOTHING = Mastery(0.0, classify(0.0), rounded(Components()))


def known_days(days: Mapping[Day, DayFacts], last: Day) -> Iterator[KnownDay]:
    """Each day from the first with evidence to ``last``. ``days`` span at most a retention window."""
    mastery, before = _NOTHING, None
    for day, components in daily_components(days, last):
        if components is not before:
            mastery, before = _mastery(components), components
        yield KnownDay(day, day_date(day), mastery, day in days)


def points(days: Sequence[KnownDay], aggregation: Aggregation) -> list[Point]:
    """One point for each day, ISO week or calendar month in which some of these consecutive days lie."""
    if aggregation is Aggregation.DAILY:
        return [_day_point(each) for each in days]
    period = _PERIODS[aggregation]
    return [_point(name, list(of)) for name, of in groupby(days, key=lambda each: period(each.date))]


def point_line(point: Point) -> list[object]:
    """The values of ``POINT_COLUMNS``."""
    values = {name: getattr(point, name) for name in point.__struct_fields__} | point.components
    return [values[column] for column in POINT_COLUMNS]


def summarize(days: Sequence[KnownDay], start: Day) -> Summary:
    """Statistics of the days since ``start``. ``days`` are all consecutive known ones; some of them are not before ``start``.

    Quartiles are interpolated linearly (type 7 of Hyndman and Fan, 1996). Standard deviations are those of the population:
    these are all days that there are.

    Returns:
        The statistics, rounded to 6 decimals.
    """
    since = [each for each in days if each.day >= start]
    scores = [each.mastery.score for each in since]
    changes = [later - earlier for earlier, later in pairwise(scores)]
    lower, median, upper = quantiles(scores, n=4, method="inclusive") if len(scores) > 1 else scores * 3
    return Summary(
        mean=round(fmean(scores), DECIMALS),
        median=round(median, DECIMALS),
        standard_deviation=_deviation(scores),
        lower_quartile=round(lower, DECIMALS),
        upper_quartile=round(upper, DECIMALS),
        first=scores[0],
        last=scores[-1],
        change=round(scores[-1] - scores[0], DECIMALS),
        trend=trend({each.day: each.mastery.score for each in days}, days[-1].day),
        volatility=_deviation(changes) if changes else None,
        longest_streak=max(len(list(of)) * has for has, of in groupby(each.has_evidence for each in since)),
        days_with_evidence=sum(each.has_evidence for each in since),
    )


def _mastery(components: Components) -> Mastery:
    score = mastery_score(components)
    return Mastery(score, classify(score), rounded(components))


def _day_point(known: KnownDay) -> Point:
    """What ``_point`` makes of a single day, in a third of the time; histories by day are asked for most."""
    day, (score, level, components) = known.date, known.mastery
    return Point(
        period=day.isoformat(),
        start=day,
        end=day,
        mean=score,
        min=score,
        max=score,
        last=score,
        level=level,
        components=components,
        days_with_evidence=int(known.has_evidence),
    )


def _point(period: str, days: Sequence[KnownDay]) -> Point:
    scores, last = [each.mastery.score for each in days], days[-1]
    return Point(
        period=period,
        start=days[0].date,
        end=last.date,
        mean=round(sum(scores) / len(scores), DECIMALS),
        min=min(scores),
        max=max(scores),
        last=last.mastery.score,
        level=last.mastery.level,
        components=last.mastery.components,
        days_with_evidence=sum(each.has_evidence for each in days),
    )


def _deviation(values: Sequence[float]) -> float:
    mean = fmean(values)
    # statistics.pstdev computes with fractions, which takes ten times as long; six decimals need no more than this.
    return round(sqrt(fmean((value - mean) ** 2 for value in values)), DECIMALS)
