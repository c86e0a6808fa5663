"""Recommends to a student what to do next."""

from collections.abc import Collection
from datetime import datetime

from app.consent.consent_store import ConsentStore
from app.mastery.formula import Components
from app.mastery.stores import MasteryStores
from app.recommendations.advice import Advice, advise
from app.recommendations.consented_evidence import consented_evidence
from app.recommendations.rules import MOST_RECOMMENDATIONS, Priority
from app.recommendations.wording import Wording


def recommend_actions(
    tenant: str,
    student_id: str,
    *,
    stores: MasteryStores,
    consents: ConsentStore,
    wording: Wording,
    now: datetime,
    limit: int = MOST_RECOMMENDATIONS,
    priority: Priority | None = None,
    components: Collection[str] = Components._fields,
) -> Advice:
    """Recommend what to do today for the student's weak components among ``components``; see ``rules.recommend``.

    Raises NotFound without retained evidence, ConsentWithdrawn if the student does not allow recommendations.

    Returns:
        The advice in the tenant's words.
    """
    evidence = consented_evidence(tenant, student_id, stores=stores, consents=consents, now=now)
    return advise(student_id, evidence, texts=wording.of(tenant), limit=limit, priority=priority, components=components)
