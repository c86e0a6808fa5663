"""The right to train a tenant's model: whoever has lost it stores nothing of what was trained."""

from app.errors import EngineError
from app.storage.lease import Lease

# How long others wait if the process that trains dies; longer than a training may last (``TRAINING_SECONDS`` of tasks).
LEASE_SECONDS = 900


class TrainingRuns(EngineError):
    """Another process trains a model of this tenant or has just done so, or the tenant's models were deleted meanwhile."""


def token_of(lease: Lease | None) -> bytes:
    """What a script compares with the stored lease; empty if none is needed, as for an operator's command."""
    return b"" if lease is None else lease.token or b"-"


def prolong(lease: Lease, tenant: str) -> None:
    """Renew a lease when half of its time is over.

    Raises:
        TrainingRuns: It was lost.
    """
    if not lease.prolong(LEASE_SECONDS / 2):
        raise TrainingRuns(lost(tenant))


def lost(tenant: str) -> str:
    """Why nothing is stored any more."""
    return f"the models of {tenant} were deleted, or another process trains one"
