"""Checks consent before a student's data is used for a purpose."""

from app.consent.consent import Consent
from app.consent.consent_store import ConsentStore
from app.errors import ConsentWithdrawn
from app.purposes import Purpose


def require_consent(tenant: str, student_id: str, purpose: Purpose, *, consents: ConsentStore) -> Consent:
    """Check that a student's data may be used for a purpose, according to the latest decision.

    Returns:
        What the student has decided.

    Raises:
        ConsentWithdrawn: It may not.
    """
    decided = consents.read(tenant, student_id)
    if not decided.allows(purpose):
        raise ConsentWithdrawn(purpose)
    return decided
