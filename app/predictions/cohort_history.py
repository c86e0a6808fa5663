"""Reads the daily facts of a cohort's students: of those who consent to predictions, and of full days only."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from app.clock import Day
from app.consent.consent_store import ConsentStore
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts, first_retained_day
from app.mastery.stores import MasteryStores
from app.predictions.daily_history import DailyHistory, daily_history
from app.purposes import Purpose
from app.storage.scripts import slices

# Students per round trip: at most 4 KB each.
STUDENTS_PER_READ = 200


class FactSources(NamedTuple):
    """Where facts are read, and whose may be."""

    mastery: MasteryStores
    consents: ConsentStore


def cohort_history(tenant: str, cohort: str, most: int, *, sources: FactSources, today: Day) -> DailyHistory:
    """Read the facts of up to ``most`` students of a cohort, drawn at random, of the retained days until yesterday.

    Returns:
        Their history. The students of a larger cohort are the same all day long.
    """
    members = sorted(sources.mastery.scores.members(tenant, cohort))
    drawn = (members[at] for at in np.random.default_rng(today).permutation(len(members)).tolist())
    found: list[dict[Day, DayFacts]] = []
    for days in _facts(tenant, drawn, sources, today):
        found.append(days)
        if len(found) == most:
            break
    return daily_history(found, first_retained_day(today, sources.mastery.facts.retention_days), today - 1)


def _facts(tenant: str, students: Iterator[str], sources: FactSources, today: Day) -> Iterator[dict[Day, DayFacts]]:
    """The facts of those of the students who consent and have any; a damaged record counts as none."""
    for some in slices(students, STUDENTS_PER_READ):
        allowed = sources.consents.allowing(tenant, some, Purpose.PREDICTIONS)
        records = sources.mastery.facts.read_many(tenant, [each for each in some if each in allowed], today, today - 1)
        yield from (record.days for record in records if isinstance(record, StudentRecord))
