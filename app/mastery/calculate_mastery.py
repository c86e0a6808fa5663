"""Recomputes a student's mastery from the facts, stores the score and returns it."""

from datetime import datetime

from app.clock import day_number
from app.mastery.derive_scores import derive_scores
from app.mastery.formula import DEFAULT_WEIGHTS, Weights
from app.mastery.query_mastery import Standing, standing
from app.mastery.stores import MasteryStores


def calculate_mastery(
    tenant: str, student_id: str, *, stores: MasteryStores, now: datetime, weights: Weights = DEFAULT_WEIGHTS
) -> Standing:
    """Recompute a student's mastery today. The stored score uses the default weights, so that rankings are comparable.

    Raises NotFound for a student without evidence.

    Returns:
        The student's standing under the given weights.
    """
    today = day_number(now)
    derive_scores(tenant, stores.facts.merge(tenant, {student_id: []}, today), stores=stores, now=now)
    return standing(student_id, stores.facts.read(tenant, student_id, today), today, weights)
