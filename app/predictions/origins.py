"""Origins of forecasts: a student on a day, what is known then, and what came of it ``HORIZON_DAYS`` later. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from app.clock import Day
from app.mastery.facts import DayFacts, first_retained_day
from app.predictions.daily_history import DailyHistory, Floats, Ints, components, daily_history, mastery
from app.predictions.evidence_groups import groups
from app.predictions.features import HORIZON_DAYS, Outlook, outlook
from app.predictions.peers import CohortDays, Peers

# Students of a cohort that are learned from or observed: bounds the memory, which is 500 MB for a year of days.
STUDENTS_AT_ONCE = 2_000
# Students whose features are computed together: their arrays fit in a processor's cache, which halves the time.
STUDENTS_IN_CACHE = 200


class Origins(NamedTuple):
    """Origins, one a row.

    Attributes:
        features: (origins, features); see ``features.py``.
        score: mastery on the day.
        carried: what it will be if only activity goes on.
        slope: of the regression, per day.
        group: see ``evidence_groups.py``.
        outcome: the mastery that came, 0 if all evidence had left the window; NaN if that day is not known. Other outcomes
            take its place where other things are forecast: ``risk.py``.
        student: the row of the student in the history.
        column: the day's column in the history.
    """

    features: Floats
    score: Floats
    carried: Floats
    slope: Floats
    group: Ints
    outcome: Floats
    student: Ints
    column: Ints

    def take(self, rows: Ints) -> "Origins":
        """Some of the origins."""
        return Origins._make(values[rows] for values in self)

    def with_outcome(self) -> "Origins":
        """Those whose outcome is known."""
        return self.take(np.flatnonzero(~np.isnan(self.outcome)))


def outcomes(history: DailyHistory, retention_days: int, columns: Ints) -> Floats:
    """The mastery ``HORIZON_DAYS`` after each column, as seen then: (students, columns); NaN if that day is not known."""
    later = columns + HORIZON_DAYS
    found = mastery(components(history, later - retention_days + 1, later))
    found[:, later >= history.days] = np.nan
    return found


OutcomesOf: TypeAlias = Callable[[DailyHistory, int, Ints], Floats]


def origins(
    history: DailyHistory, retention_days: int, columns: Ints, cohort: CohortDays, outcomes_of: OutcomesOf = outcomes
) -> Origins:
    """Every student with evidence on each of the columns. ``cohort`` has, for each, the peers on the day before."""
    parts = []
    for rows in row_blocks(history):
        some = some_students(history, rows)
        found = origins_of(outlook(some, retention_days, columns, cohort), outcomes_of(some, retention_days, columns), columns)
        parts.append(found._replace(student=rows[found.student]))
    return joined(parts)


def origins_today(students: Sequence[Mapping[Day, DayFacts]], today: Day, retention_days: int, peers: Peers | None) -> Origins:
    """The students today: an origin for each, in their order, as each has facts of the retained days."""
    history = daily_history(students, first_retained_day(today, retention_days), today)
    return origins(history, retention_days, np.array([history.days - 1]), [peers])


def row_blocks(history: DailyHistory) -> list[Ints]:
    """The rows in blocks of ``STUDENTS_IN_CACHE``; one empty block if there are none."""
    return np.array_split(np.arange(history.students), range(STUDENTS_IN_CACHE, history.students, STUDENTS_IN_CACHE))


def origins_of(seen: Outlook, outcome: Floats, columns: Ints) -> Origins:
    """The origins among students and days: those with evidence."""
    student, at = np.nonzero(seen.present)
    of_group = groups(seen.known, seen.trend.slope, seen.history_days)
    return Origins(
        seen.features[student, at],
        seen.score[student, at],
        seen.carried[student, at],
        seen.regression.slope[student, at],
        of_group[student, at],
        outcome[student, at],
        student,
        columns[at],
    )


def joined(parts: list[Origins]) -> Origins:
    """The origins of several students or cohorts; of at least one."""
    return Origins._make(np.concatenate(values) for values in zip(*parts, strict=True))


def some_students(history: DailyHistory, rows: Ints) -> DailyHistory:
    """The history of some students."""
    return DailyHistory(
        history.last,
        {name: values[rows] for name, values in history.facts.items()},
        {name: values[rows] for name, values in history.sums.items()},
        [values[rows] for values in history.latest],
    )
