"""The daily facts of every cohort, from a file's events: what the engine would have stored, without a retention. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from app.clock import Day
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ, Observation
from app.mastery.facts import DayFacts
from app.predictions.daily_history import DailyHistory, history_of

_FIELDS = DayFacts.__struct_fields__
_ADDED = {QUIZ: ("correct", "asked"), QUALITY: ("quality_millionths", "submissions")}


class Cohort(NamedTuple):
    """A tenant's cohort; without a name: its students without a cohort."""

    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"


class _Student:
    """One student's facts by day, and what orders completions and cohorts: the latest counts."""

    def __init__(self) -> None:
        self.days: dict[Day, list[int]] = {}
        self.seen: set[bytes] = set()
        self.completions: dict[Day, tuple[int, bytes]] = {}
        self.cohort = (0, b"", "")

    def add(self, observation: Observation) -> None:
        mark, day, kind, first, second, stamp, event_id, cohort = observation
        if mark in self.seen:
            return
        self.seen.add(mark)
        facts = self.days.setdefault(day, [0] * len(_FIELDS))
        if cohort:
            self.cohort = max(self.cohort, (stamp, event_id, cohort))
        if kind == ACTIVITY:
            facts[_FIELDS.index("active")] = 1
        elif kind == COMPLETION:
            if (stamp, event_id) > self.completions.get(day, (0, b"")):
                self.completions[day] = stamp, event_id
                facts[_FIELDS.index("completed")], facts[_FIELDS.index("total")] = first, second
        else:
            for name, more in zip(_ADDED[kind], (first, second), strict=True):
                facts[_FIELDS.index(name)] += more


def event_histories(observed: Iterable[tuple[str, str, Observation]]) -> dict[Cohort, DailyHistory]:
    """The history of each cohort, from observations of (tenant, student); repeated ones count once, in any order.

    Returns:
        Histories by cohort, in their order; all have the same days, from the first to the last with evidence.
    """
    students: dict[tuple[str, str], _Student] = {}
    for tenant, student, observation in observed:
        students.setdefault((tenant, student), _Student()).add(observation)
    if not students:
        return {}
    first = min(min(each.days) for each in students.values())
    last = max(max(each.days) for each in students.values())
    cohorts: dict[Cohort, list[_Student]] = {}
    for (tenant, _), each in sorted(students.items()):
        cohorts.setdefault(Cohort(tenant, each.cohort[2]), []).append(each)
    return {cohort: _history(members, first, last) for cohort, members in sorted(cohorts.items())}


def _history(members: list[_Student], first: Day, last: Day) -> DailyHistory:
    values = np.zeros((len(_FIELDS), len(members), last - first + 1), np.int64)
    for row, each in enumerate(members):
        for day, facts in each.days.items():
            values[:, row, day - first] = facts
    return history_of(dict(zip(_FIELDS, values, strict=True)), last)
