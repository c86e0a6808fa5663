"""Stores what a student, or an admin for them, decides about the use of their data."""

from collections.abc import Mapping
from datetime import datetime

from app.consent.consent import Author, Consent
from app.consent.consent_store import ConsentStore
from app.errors import DependencyUnavailable
from app.purposes import Purpose

# Each lost attempt means that another request has changed the same student's record meanwhile.
MAX_ATTEMPTS = 100


def change_consent(
    tenant: str, student_id: str, wanted: Mapping[Purpose, bool], by: Author, *, consents: ConsentStore, now: datetime
) -> Consent:
    """Store the decisions that differ from those that hold; without any, nothing changes.

    Returns:
        What the student has decided now.

    Raises:
        DependencyUnavailable: Others changed the record at each attempt.
    """
    for _ in range(MAX_ATTEMPTS):
        before = consents.read(tenant, student_id)
        new = before.changed(wanted, by, now)
        if not new:
            return before
        if consents.replace(tenant, student_id, before, new):
            return consents.read(tenant, student_id)
    raise DependencyUnavailable("the consent record", "is being changed by other requests")
