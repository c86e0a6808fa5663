"""Observes, once a day, what the students of each cohort did until yesterday: forecasts of the day look at it."""

from collections.abc import Iterator

import numpy as np

from app.clock import Day
from app.predictions.cohort_history import FactSources, cohort_history
from app.predictions.origins import STUDENTS_AT_ONCE
from app.predictions.peer_store import Observed, PeerStore
from app.predictions.peers import peers
from app.storage.lease import Lease
from app.storage.scripts import slices

COHORTS_PER_READ = 100  # of some 2 KB


def observe_peers(tenant: str, *, sources: FactSources, store: PeerStore, today: Day, by: Lease | None = None) -> Iterator[int]:
    """Observe the cohorts that were not observed on full days until yesterday; up to ``STUDENTS_AT_ONCE`` students of each.

    An abandoned iteration is continued by a new one. A training gives its lease: TrainingRuns is raised if that was lost.

    Yields:
        After each cohort, of how many students.
    """
    yesterday = today - 1
    for some in slices(sources.mastery.scores.cohorts(tenant), COHORTS_PER_READ):
        for cohort, known in zip(some, store.read(tenant, some), strict=True):
            if known is None or known.day != yesterday:
                history = cohort_history(tenant, cohort, STUDENTS_AT_ONCE, sources=sources, today=today)
                (observed,) = peers(history, sources.mastery.facts.retention_days, np.array([history.days - 1]))
                store.put(tenant, cohort, Observed(yesterday, observed), by=by)
                yield history.students
