"""The settings of the audit trail."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """The part of ``app/config/settings.py`` about the audit trail."""

    # The audit trail: an entry takes about 0.3 KB of Redis.
    audit_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    # File outside Redis to which a worker appends each trail's head at this interval. Empty: none.
    audit_heads_file: str = ""
    audit_heads_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 3600.0
