"""Reads the evidence from which recommendations are computed."""

from datetime import datetime

from app.clock import day_number
from app.consent.consent_store import ConsentStore
from app.consent.require_consent import require_consent
from app.mastery.stores import MasteryStores
from app.purposes import Purpose
from app.recommendations.rules import Evidence


def consented_evidence(
    tenant: str, student_id: str, *, stores: MasteryStores, consents: ConsentStore, now: datetime
) -> Evidence:
    """The evidence of a student who allows recommendations. Raises NotFound without any, else ConsentWithdrawn."""
    today = day_number(now)
    record = stores.facts.read(tenant, student_id, today)
    require_consent(tenant, student_id, Purpose.RECOMMENDATIONS, consents=consents)
    return Evidence(record.days, today, stores.facts.retention_days)
