"""Computes and stores students' scores after their facts or the day changed."""

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from app.clock import day_number
from app.consent.consent_store import ConsentStore
from app.mastery.components import window_components
from app.mastery.formula import mastery_score
from app.mastery.merged import Merged
from app.mastery.score_store import Score
from app.mastery.stores import MasteryStores

_log = logging.getLogger(__name__)


def derive_scores(tenant: str, merged: Iterable[Merged], *, stores: MasteryStores, now: datetime) -> None:
    """Score every student whose facts have a newer revision than the score.

    This also recovers from a crash between merging and scoring: repeated events are duplicates, but the revision shows that the
    score is outdated. A score that cannot be stored is retried with the next event or day.
    """
    scores = [
        Score(each.student_id, each.window.revision, each.window.day, mastery_score(components), components)
        for each in merged
        if each.window is not None and each.window.revision > each.scored_revision
        for components in [window_components(each.window)]
    ]
    if scores and (errors := stores.scores.put(tenant, scores, now)):
        _log.error("scores that cannot be stored: %d, first error: %s", len(errors), errors[0])


class Refreshed(NamedTuple):
    """Students of a tenant whose scores were updated, and those who were removed because they have no evidence any more."""

    tenant: str
    students: Collection[str]
    removed: Collection[str]


def refresh_scores(*, stores: MasteryStores, consents: ConsentStore, now: datetime, batch: int) -> Iterator[Refreshed]:
    """Update scores of earlier days to today, and remove students whose last evidence expired.

    Students without a score of today are found in Redis, so an abandoned iteration is continued by a new one. A student whose
    score cannot be updated is postponed until tomorrow, and removed when the evidence has expired. Each student passes here
    once a day, so consent records are prolonged.

    Yields:
        After each batch of up to ``batch`` students, the students.
    """
    today = day_number(now)
    for tenant in stores.tenants.all():
        while students := stores.scores.stale_students(tenant, today, batch):
            merged = stores.facts.merge(tenant, {student: [] for student in students}, today)
            # A damaged record is evidence, too.
            has_data = {each.student_id: each.window is not None or each.error is not None for each in merged}
            consents.keep(tenant, has_data, now)  # before the scores: an interrupted step is repeated
            derive_scores(tenant, merged, stores=stores, now=now)
            removed = {student for student, has_any in has_data.items() if not has_any}
            if left := set(students) & set(stores.scores.stale_students(tenant, today, batch)):
                damaged = stores.expired.remove(tenant, sorted(left), today)
                consents.keep(tenant, dict.fromkeys(damaged, False), now)
                removed |= damaged
            if left := left - removed:
                _log.error("students whose scores cannot be updated: %d", len(left))
                stores.scores.postpone(tenant, left, today)
            yield Refreshed(tenant, set(students) - removed, removed)
        stores.rankings.note_refresh(tenant, today)
