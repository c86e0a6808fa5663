"""Development tokens: signed with the shared secret, for trying the API. In production an identity provider issues them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import jwt

from app.errors import SettingsError
from app.identifiers import require_identifier
from app.security.access import Role
from app.settings import Settings

ALGORITHM = "HS256"


def development_token(
    settings: Settings, *, role: Role, tenant: str, subject: str, cohorts: Sequence[str] = (), now: datetime
) -> str:
    """A signed JWT with the claims of design section 6. Raises SettingsError in production, InvalidInput for what is no id."""
    if settings.env == "production":
        raise SettingsError("development tokens are refused in production")
    claims = {
        "sub": require_identifier("subject", subject),
        "role": role.value,
        "tenant": require_identifier("tenant", tenant),
        "cohorts": [require_identifier("cohorts", cohort) for cohort in cohorts],
        "jti": str(uuid4()),
        "type": "access",
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(seconds=settings.token_ttl_seconds),
    }
    return jwt.encode(claims, settings.jwt_secret, algorithm=ALGORITHM)
