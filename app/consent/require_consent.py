"""Checks consent before a student's data is used for a purpose."""

from app.consent.consent_store import ConsentStore
from app.errors import ConsentWithdrawn
from app.purposes import Purpose


def require_consent(tenant: str, student_id: str, purpose: Purpose, *, consents: ConsentStore) -> None:
    """Check that a student's data may be used for a purpose, according to the latest decision.

    Raises:
        ConsentWithdrawn: It may not.
    """
    if not consents.read(tenant, student_id).allows(purpose):
        raise ConsentWithdrawn(purpose)
