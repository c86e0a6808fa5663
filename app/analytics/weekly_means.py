"""The mean mastery of students at the end of each of the last weeks, from the facts that are retained today. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from app.analytics.distribution import mean
from app.clock import Day, day_date
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.evidence import MILLIONTHS
from app.mastery.facts import DayFacts, first_retained_day
from app.predictions.daily_history import Ints, components, daily_history, has_evidence, mastery

WEEKS = 12  # that have ended: the first Sunday is at most 84 days ago, within the default retention
_WEEK_DAYS = 7


class Week(Struct, frozen=True):
    """A week of a cohort's trend.

    Attributes:
        week: the ISO week, as in 2026-W44.
        date: the day of whose end the mean is: a Sunday, or today.
        mean: mastery, 0..1; None of fewer than five students.
        students: who have evidence up to that day.
    """

    week: str
    date: date
    mean: float | None
    students: int


class WeeklySums(NamedTuple):
    """Of each day, the sum of the students' mastery in millionths, and how many of them have evidence."""

    totals: Ints
    students: Ints

    def plus(self, others: "WeeklySums") -> "WeeklySums":
        """The sums with those of other students."""
        return WeeklySums(self.totals + others.totals, self.students + others.students)


def no_sums(days: Sequence[Day]) -> WeeklySums:
    """The sums of nobody."""
    return WeeklySums(np.zeros(len(days), np.int64), np.zeros(len(days), np.int64))


def ends_of_weeks(today: Day) -> list[Day]:
    """The Sundays of the last ``WEEKS`` weeks before today, the earliest first, and today."""
    sunday = today - day_date(today).isoweekday()
    return [*range(sunday - (WEEKS - 1) * _WEEK_DAYS, sunday + 1, _WEEK_DAYS), today]


def weekly_sums(students: Sequence[Mapping[Day, DayFacts]], days: Sequence[Day], today: Day, retention_days: int) -> WeeklySums:
    """The sums over students on each of these days, as queries with that date tell their mastery."""
    first = first_retained_day(today, retention_days)
    last = np.array(days) - first
    parts = components(daily_history(students, first, today), last - retention_days + 1, last)
    is_known = has_evidence(parts)
    millionths = np.rint(mastery(parts) * MILLIONTHS).astype(np.int64)
    return WeeklySums(np.where(is_known, millionths, 0).sum(axis=0), is_known.sum(axis=0))


def weeks_of(days: Sequence[Day], sums: WeeklySums) -> list[Week]:
    """The weeks of these sums."""
    return [
        _week(day_date(day), total, students)
        for day, total, students in zip(days, sums.totals.tolist(), sums.students.tolist(), strict=True)
    ]


def _week(day: date, total: int, students: int) -> Week:
    iso = day.isocalendar()
    of_enough = mean(total, students) if students >= FEWEST_IN_STATISTICS else None
    return Week(f"{iso.year}-W{iso.week:02}", day, of_enough, students)
