"""Validation of a token's claims (RFC 7519), and development tokens.

In production an identity provider issues tokens. PyJWT, configured in ``api/authentication.py``, checks signature, times,
issuer and audience; this module checks the rest.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias
from uuid import uuid4

import jwt
import msgspec
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAlgorithmError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidIssuerError,
    InvalidJTIError,
    InvalidSignatureError,
    InvalidSubjectError,
    MissingRequiredClaimError,
    PyJWTError,
)
from msgspec import Meta

from app.config.settings import Settings
from app.errors import EngineError, SettingsError
from app.identifiers import Identifier, require_identifier
from app.roles import Role
from app.security.access import Principal

DEVELOPMENT_ALGORITHM = "HS256"

# Seconds since 1970, with or without a fraction (RFC 7519 section 2), up to the last year of datetime.
NumericDate: TypeAlias = Annotated[float, Meta(ge=0, le=253_402_300_799)]
# The issuer chooses the id. No control characters and no lone surrogates, so that an admin can send it in a request to revoke
# the token.
TokenId: TypeAlias = Annotated[str, Meta(pattern=r"^[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,255}\Z")]


class InvalidToken(EngineError):
    """The token is rejected. The message says why, without quoting the token."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of a valid token: the caller, and the token's validity."""

    sub: Identifier
    role: Role
    tenant: Identifier
    jti: TokenId
    exp: NumericDate
    iat: NumericDate | None = None
    cohorts: list[Identifier] = []
    type: Literal["access"] = "access"  # refresh tokens are only for obtaining other tokens

    @property
    def principal(self) -> Principal:
        """The caller."""
        return Principal(self.sub, self.role, self.tenant, frozenset(self.cohorts))


def claims_of(payload: Mapping[str, Any], settings: Settings, now: datetime) -> Claims:
    """Validate the claims of a token whose signature and times are valid.

    Its lifetime is limited to ``jwt_max_seconds`` from ``iat``, or from ``now`` without ``iat``.

    Returns:
        The claims.

    Raises:
        InvalidToken: A claim is missing or invalid, the audience is another, or the lifetime is too long.
    """
    for name in _REQUIRED:
        if payload.get(name) is None:
            raise InvalidToken(f"The token's claim {name} is missing.")
    if "aud" in payload and not settings.jwt_audience:  # RFC 7519 section 4.1.3; PyJWT does not check this case
        raise InvalidToken(_REASONS[InvalidAudienceError])
    try:
        claims = msgspec.convert(payload, Claims)
    except msgspec.ValidationError as error:
        raise InvalidToken(f"The token's claim {_claim_in(error)} is not valid.") from error
    except UnicodeEncodeError as error:  # a lone surrogate in a Literal or enum field
        raise InvalidToken("The token's claims are not all Unicode.") from error
    issued_at = now.timestamp() if claims.iat is None else claims.iat
    if claims.exp - issued_at > settings.jwt_max_seconds:
        raise InvalidToken("The token lives too long: its claim exp is too far ahead.")
    return claims


def refused(error: PyJWTError) -> InvalidToken:
    """Translate PyJWT's error to a message for the client."""
    if isinstance(error, MissingRequiredClaimError):
        return InvalidToken(f"The token's claim {error.claim} is missing.")
    if time := re.search(r"\((exp|nbf)\) must be", str(error)):  # PyJWT has no exception classes for these
        return InvalidToken(f"The token's claim {time[1]} is not valid.")
    return InvalidToken(_REASONS.get(type(error), "A valid token is needed: Authorization: Bearer <JWT>."))


_REQUIRED = ("sub", "role", "tenant", "jti", "exp")
_REASONS: Mapping[type[PyJWTError], str] = {
    ExpiredSignatureError: "The token has expired.",
    ImmatureSignatureError: "The token is not valid yet.",
    InvalidIssuerError: "The token is from another issuer.",
    InvalidAudienceError: "The token is meant for another audience.",
    InvalidSubjectError: "The token's claim sub is not valid.",
    InvalidJTIError: "The token's claim jti is not valid.",
    InvalidIssuedAtError: "The token's claim iat is not valid.",
    InvalidAlgorithmError: "The token's algorithm is not accepted.",
    InvalidSignatureError: "The token's signature is not valid.",
}


def _claim_in(error: msgspec.ValidationError) -> str:
    """The name of the claim that msgspec rejects; the rest of its message might quote the value."""
    found = re.search(r"`\$\.(\w+)[^`]*`\Z", str(error))
    return found[1] if found else "set"


def development_token(
    settings: Settings, *, role: Role, tenant: str, subject: str, cohorts: Sequence[str] = (), now: datetime
) -> str:
    """Create a JWT with the claims of design section 6, signed with the secret. Raises InvalidInput for an invalid id.

    Returns:
        The encoded token.

    Raises:
        SettingsError: The engine runs in production, or accepts only a provider's tokens.
    """
    if settings.env == "production":
        raise SettingsError("development tokens are refused in production")
    if DEVELOPMENT_ALGORITHM not in settings.algorithms:
        raise SettingsError("MASTERY_JWT_ALGORITHMS: without HS256 development tokens are not accepted")
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
    names = {"iss": settings.jwt_issuer, "aud": settings.jwt_audience}
    claims |= {name: value for name, value in names.items() if value}
    return jwt.encode(claims, settings.jwt_secret, algorithm=DEVELOPMENT_ALGORITHM)
