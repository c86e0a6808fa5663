"""Plans a student's way to a level of mastery."""

from datetime import datetime

from app.consent.consent_store import ConsentStore
from app.mastery.formula import Level
from app.mastery.stores import MasteryStores
from app.recommendations.consented_evidence import consented_evidence
from app.recommendations.learning_path import DEFAULT_MINUTES, LearningPath, path_to
from app.recommendations.wording import Wording


def plan_learning_path(
    tenant: str,
    student_id: str,
    *,
    stores: MasteryStores,
    consents: ConsentStore,
    wording: Wording,
    now: datetime,
    target: Level | None = None,
    minutes_per_day: int = DEFAULT_MINUTES,
) -> LearningPath:
    """Plan the way to a level from tomorrow on, by default the next one above the student's; see ``rules.plan_work``.

    Raises NotFound without retained evidence, ConsentWithdrawn if the student does not allow recommendations.

    Returns:
        The plan in the tenant's words.
    """
    evidence = consented_evidence(tenant, student_id, stores=stores, consents=consents, now=now)
    return path_to(target, student_id, evidence, texts=wording.of(tenant), minutes_per_day=minutes_per_day)
