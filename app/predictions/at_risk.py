"""Whom of a cohort to help first: computes and stores the list of its students by their risk."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from app.clock import Day, day_number, microseconds
from app.consent.consent_store import ConsentStore
from app.errors import NotFound
from app.mastery.fact_store import StudentRecord
from app.predictions.cohort_history import STUDENTS_PER_READ, FactSources
from app.predictions.origins import origins_today
from app.predictions.peers import Peers
from app.predictions.risk_estimator import RiskEstimator, RiskEstimators
from app.predictions.risk_store import Estimate, RiskList, RiskStore
from app.purposes import Purpose
from app.storage.scripts import slices

# Of a larger cohort, those with the lowest mastery: bounds a task to a few seconds, and a list to 1 MB.
MOST_STUDENTS = 10_000
PROBABILITY_DECIMALS = 4  # more would say nothing
NOBODY = "no students with evidence in this cohort"

ObservedPeers: TypeAlias = Callable[[str, str, Day], Peers | None]  # tenant, cohort, day → what it did before that day
Note: TypeAlias = Callable[[Sequence[str]], None]


class RiskListing(NamedTuple):
    """What lists are made with: where facts are read, what estimates the risk, what is known of the cohort, where lists go."""

    sources: FactSources
    estimators: RiskEstimators
    observed: ObservedPeers
    lists: RiskStore


class Listed(NamedTuple):
    """A list, and how many students are in it."""

    about: RiskList
    students: int


def students_at_risk(tenant: str, cohort: str, *, using: RiskListing, now: datetime, note: Note) -> Listed:
    """The cohort's list of today: the stored one, or a new one, which is stored.

    It has the students with evidence in the retention window who allow ``predictions``. ``note`` is told whose facts are read,
    before that is done. Of several callers at the same time one computes; the others wait for its list, else compute too.

    Raises NotFound if no student of the cohort has evidence.

    Returns:
        The list.
    """
    if found := _stored(tenant, cohort, using, now):
        return found
    with using.lists.claim(tenant, cohort):
        return _stored(tenant, cohort, using, now) or _computed(tenant, cohort, using, now, note)


def is_valid(about: RiskList | None, estimator: RiskEstimator, today: Day) -> bool:
    """Whether a list may be shown: it is of today, and of the model that answers now."""
    return about is not None and (about.day, about.model, about.model_version) == (today, estimator.name, estimator.version)


def _stored(tenant: str, cohort: str, using: RiskListing, now: datetime) -> Listed | None:
    today, (about, students) = day_number(now), using.lists.about(tenant, cohort)
    return Listed(about, students) if about and is_valid(about, using.estimators(tenant, today), today) else None


def _computed(tenant: str, cohort: str, using: RiskListing, now: datetime, note: Note) -> Listed:
    today = day_number(now)
    estimator, peers = using.estimators(tenant, today), using.observed(tenant, cohort, today)
    facts, scores, *_ = using.sources.mastery
    members = [student for student, _ in scores.ranking(tenant, cohort)[:MOST_STUDENTS]]
    found: dict[str, Estimate] = {}
    allowing = 0
    for students in _allowing(tenant, members, using.sources.consents):
        allowing += len(students)
        note(students)
        erasures = using.lists.erasures(tenant, students)
        read = zip(students, erasures, facts.read_many(tenant, students, today, today), strict=True)
        present = [(student, erasure, record) for student, erasure, record in read if isinstance(record, StudentRecord)]
        of = origins_today([record.days for _, _, record in present], today, facts.retention_days, peers)
        for row, probability in zip(
            of.student.tolist(), estimator.probability(of).round(PROBABILITY_DECIMALS).tolist(), strict=True
        ):
            student, erasure, _ = present[row]
            found[student] = Estimate(probability, erasure)
    if not found and allowing == len(members):
        raise NotFound(NOBODY)
    about = RiskList(today, estimator.name, estimator.version, microseconds(now))
    return Listed(about, using.lists.put(tenant, cohort, about, found))


def _allowing(tenant: str, members: Sequence[str], consents: ConsentStore) -> Iterator[list[str]]:
    """Those of the students who allow predictions, some at a time."""
    for some in slices(members, STUDENTS_PER_READ):
        allowed = consents.allowing(tenant, some, Purpose.PREDICTIONS)
        if students := [each for each in some if each in allowed]:
            yield students
