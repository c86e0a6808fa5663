"""Facts changed or a day passed: derive the students' scores and keep them."""

from collections.abc import Iterable

from app.clock import Day
from app.mastery.facts import window_components
from app.mastery.formula import mastery_score
from app.mastery.store import MasteryStore, Merged, Score


def derive_scores(tenant: str, merged: Iterable[Merged], *, store: MasteryStore) -> None:
    """Score every student whose facts are newer than their score.

    A crash between merging and scoring heals here: the repeated events are duplicates then, but the revision tells.
    """
    scores = [
        Score(student, window.revision, window.day, mastery_score(window_components(window)))
        for student, _outcomes, window, scored_revision in merged
        if window is not None and window.revision > scored_revision
    ]
    if scores:
        store.put_scores(tenant, scores)


def refresh_scores(*, store: MasteryStore, today: Day, batch: int, limit: int) -> int:
    """Bring scores of an earlier day up to today, and remove students whose last evidence expired.

    Handles ``batch`` students at a time and stops after ``limit``. Returns how many it handled: fewer means that none is left.
    """
    handled = 0
    for tenant in store.tenants():
        before: list[str] = []
        while handled < limit and (students := store.stale_students(tenant, today, min(batch, limit - handled))):
            if students == before:
                raise AssertionError("these students stay due, whatever is done")  # to go on would be to do it for ever
            derive_scores(tenant, store.merge(tenant, {student: [] for student in students}, today), store=store)
            handled += len(students)
            before = students
    return handled
