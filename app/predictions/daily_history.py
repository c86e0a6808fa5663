"""The facts of many students, day by day, as arrays: mastery on any day, from any window, for all of them at once. Pure.

``app/mastery/components.py`` computes the same for one student, and tests compare the two. A back-test looks at a million
days of thousands of students, which would take minutes there and takes a second here.

Columns are days. A day's mastery, as seen on a later day, is computed from what is retained then: docs/decisions/0006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.clock import Day
from app.mastery.components import CONSISTENCY_DAYS
from app.mastery.evidence import MILLIONTHS
from app.mastery.facts import DayFacts
from app.mastery.formula import DECIMALS, DEFAULT_WEIGHTS, Components

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

COMPLETION, QUIZ, QUALITY, CONSISTENCY = range(len(Components._fields))


@dataclass(frozen=True)
class DailyHistory:
    """Facts of ``students`` × ``days``; the last column is ``last``.

    Attributes:
        last: the day of the last column.
        facts: of each field of ``DayFacts``: (students, days).
        sums: of each additive field: the sum of all earlier columns, (students, days + 1).
        latest: the newest column up to this one with a completion, quiz, submission or activity, -1 for none:
            by component, each (students, days).
    """

    last: Day
    facts: Mapping[str, Ints]
    sums: Mapping[str, Ints]
    latest: Sequence[Ints]

    @property
    def students(self) -> int:
        """The number of rows."""
        return len(self.facts["active"])

    @property
    def days(self) -> int:
        """The number of columns."""
        return int(self.facts["active"].shape[1])

    def count(self, field: str, first: Ints, last: Ints) -> Ints:
        """The sum of a field over the columns ``first`` to ``last`` of each window: (students, windows)."""
        start, stop = _bounds(first, last, self.days)
        return self.sums[field][:, stop] - self.sums[field][:, start]

    def age(self, component: int, first: Ints, last: Ints) -> Floats:
        """Days from a component's newest evidence in each window to its last column; NaN for none: (students, windows)."""
        newest = self._newest(component, last)
        return np.where(newest >= np.maximum(first, 0), last - newest, np.nan)

    def inactivity(self, first: Ints, last: Ints) -> Floats:
        """Days from a student's newest activity in each window to its last column: (students, windows).

        Platforms may tell of no activity: of a student without any, the newest evidence of another kind counts.

        Returns:
            The days; NaN without any evidence.
        """
        of_activity = self.age(CONSISTENCY, first, last)
        of_others = [self.age(each, first, last) for each in range(len(Components._fields)) if each != CONSISTENCY]
        return np.where(np.isnan(of_activity), reduce(np.fmin, of_others), of_activity)

    def progress(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """Completed and total exercises of the latest completion in each window; 0 of 0 for none: (students, windows) each."""
        newest = self._newest(COMPLETION, last)
        is_known = newest >= np.maximum(first, 0)
        rows, column = np.arange(self.students)[:, None], np.maximum(newest, 0)
        completed, total = (self.facts[name][rows, column] for name in ("completed", "total"))
        return np.where(is_known, completed, 0), np.where(is_known, total, 0)

    def _newest(self, component: int, last: Ints) -> Ints:
        return np.where(last >= 0, self.latest[component][:, np.clip(last, 0, self.days - 1)], -1)


def daily_history(students: Sequence[Mapping[Day, DayFacts]], first: Day, last: Day) -> DailyHistory:
    """The students' facts from the day ``first`` to ``last``, in their order; other days are ignored."""
    shape = len(students), last - first + 1
    facts = {name: np.zeros(shape, np.int64) for name in DayFacts.__struct_fields__}
    for row, days in enumerate(students):
        for day, of_day in days.items():
            if first <= day <= last:
                for name, values in facts.items():
                    values[row, day - first] = getattr(of_day, name)
    return history_of(facts, last)


def history_of(facts: Mapping[str, Ints], last: Day) -> DailyHistory:
    """The history of facts that are arrays already: one of (students, days) for each field of ``DayFacts``."""
    additive = ("correct", "asked", "quality_millionths", "submissions", "active")
    sums = {name: np.pad(np.cumsum(facts[name], axis=1), ((0, 0), (1, 0))) for name in additive}
    latest = [_latest(facts[name] > 0) for name in ("total", "asked", "submissions", "active")]
    return DailyHistory(last, facts, sums, latest)


def components(history: DailyHistory, first: Ints, last: Ints) -> Floats:
    """The four components, as seen on the column ``last`` from the evidence since ``first``; NaN without evidence.

    Returns:
        (4, students, windows), in the order of ``Components``.
    """
    completed, total = history.progress(first, last)
    asked, submissions = history.count("asked", first, last), history.count("submissions", first, last)
    active = history.count("active", np.maximum(first, last - CONSISTENCY_DAYS + 1), last)
    ever_active = ~np.isnan(history.age(CONSISTENCY, first, last))
    return np.stack(
        [
            _ratio(completed, total),
            _ratio(history.count("correct", first, last), asked),
            _ratio(history.count("quality_millionths", first, last), submissions) / MILLIONTHS,
            np.where(ever_active, active / CONSISTENCY_DAYS, np.nan),
        ]
    )


def mastery(parts: Floats) -> Floats:
    """``mastery_score`` of each column of components, under the default weights: (4, …) → (…).

    Returns:
        0..1, rounded to six decimals. Where the seventh is a five and the last, either neighbour: numpy rounds after scaling.
    """
    weights = np.array(DEFAULT_WEIGHTS).reshape(-1, *[1] * (parts.ndim - 1))
    return np.asarray(np.round((np.nan_to_num(parts) * weights).sum(axis=0), DECIMALS))


def has_evidence(parts: Floats) -> Mask:
    """Where any component has evidence: (4, …) → (…)."""
    return np.asarray(~np.isnan(parts).all(axis=0))


def _bounds(first: Ints, last: Ints, days: int) -> tuple[Ints, Ints]:
    """The slices of prefix sums for windows, which may begin or end before the first column."""
    stop = np.clip(last + 1, 0, days)
    return np.clip(first, 0, stop), stop


def _ratio(part: Ints, whole: Ints) -> Floats:
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), np.nan))


def _latest(has: Mask) -> Ints:
    return np.maximum.accumulate(np.where(has, np.arange(has.shape[1]), -1), axis=1)
