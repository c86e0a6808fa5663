"""Development tokens carry the claims of the contract, and exist in development only."""

from datetime import UTC, datetime

import jwt
import pytest

from app.errors import SettingsError
from app.security.access import Role
from app.security.tokens import development_token
from app.settings import DEVELOPMENT_SECRET, load_settings

NOW = datetime.now(UTC)


def test_claims() -> None:
    """Subject, role, tenant, cohorts, expiry and an id of its own."""
    settings = load_settings({"MASTERY_TOKEN_TTL_SECONDS": "3600"})
    token = development_token(settings, role=Role.TEACHER, tenant="t-1", subject="ada", cohorts=["c-1"], now=NOW)
    claims = jwt.decode(token, DEVELOPMENT_SECRET, algorithms=["HS256"])
    assert {name: claims[name] for name in ("sub", "role", "tenant", "cohorts")} == {
        "sub": "ada",
        "role": "teacher",
        "tenant": "t-1",
        "cohorts": ["c-1"],
    }
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["jti"]


def test_production_has_none() -> None:
    """In production an identity provider issues tokens."""
    settings = load_settings(
        {
            "MASTERY_ENV": "production",
            "MASTERY_JWT_SECRET": "x" * 32,
            "MASTERY_AUDIT_KEY": "y" * 32,
            "MASTERY_FLOWER_PASSWORD": "y",
            "MASTERY_REDIS_URL": "redis://redis/0",
            "MASTERY_KAFKA_BOOTSTRAP": "kafka:9092",
        }
    )
    with pytest.raises(SettingsError, match="production"):
        development_token(settings, role=Role.ADMIN, tenant="t-1", subject="ada", now=NOW)
