"""What a token must say to be accepted (RFC 7519), and development tokens for trying the API.

In production an identity provider issues tokens. The signature, and the times, issuer and audience that a token names, are
checked by PyJWT, which ``api/authentication.py`` configures; the rest is here.
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

# Seconds since 1970, with or without a fraction (RFC 7519 section 2), up to the last year that a datetime has.
NumericDate: TypeAlias = Annotated[float, Meta(ge=0, le=253_402_300_799)]
# Any text, since it is the issuer's, but one that an admin can send to have it revoked: no control characters, and no halves of
# a character (lone surrogates), which JSON can write all the same.
TokenId: TypeAlias = Annotated[str, Meta(pattern=r"^[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,255}\Z")]


class InvalidToken(EngineError):
    """The token is not accepted. The message tells a developer why, and repeats nothing of the token."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid token says: who calls, and from when to when the token is good."""

    sub: Identifier
    role: Role
    tenant: Identifier
    jti: TokenId
    exp: NumericDate
    iat: NumericDate | None = None
    cohorts: list[Identifier] = []
    type: Literal["access"] = "access"  # a refresh token only gets other tokens

    @property
    def principal(self) -> Principal:
        """The caller."""
        return Principal(self.sub, self.role, self.tenant, frozenset(self.cohorts))


def claims_of(payload: Mapping[str, Any], settings: Settings, now: datetime) -> Claims:
    """The claims of a token whose signature and times hold. Raises InvalidToken unless they are complete, safe and for us.

    A token may live ``jwt_max_seconds``, counted from when it was issued, or from ``now`` where it does not say when that was.
    """
    for name in _REQUIRED:
        if payload.get(name) is None:
            raise InvalidToken(f"The token's claim {name} is missing.")
    if "aud" in payload and not settings.jwt_audience:  # RFC 7519 section 4.1.3; the library does not look, then
        raise InvalidToken(_REASONS[InvalidAudienceError])
    try:
        claims = msgspec.convert(payload, Claims)
    except msgspec.ValidationError as error:
        raise InvalidToken(f"The token's claim {_claim_in(error)} is not valid.") from error
    except UnicodeEncodeError as error:  # half a character where msgspec looks for one of a few words
        raise InvalidToken("The token's claims are not all Unicode.") from error
    issued_at = now.timestamp() if claims.iat is None else claims.iat
    if claims.exp - issued_at > settings.jwt_max_seconds:
        raise InvalidToken("The token lives too long: its claim exp is too far ahead.")
    return claims


def refused(error: PyJWTError) -> InvalidToken:
    """What PyJWT found wrong with a token, in words for whoever sent it."""
    if isinstance(error, MissingRequiredClaimError):
        return InvalidToken(f"The token's claim {error.claim} is missing.")
    if time := re.search(r"\((exp|nbf)\) must be", str(error)):  # the library has no class for these
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
    """The claim that msgspec complains about; what it says of the value might quote it."""
    found = re.search(r"`\$\.(\w+)[^`]*`\Z", str(error))
    return found[1] if found else "set"


def development_token(
    settings: Settings, *, role: Role, tenant: str, subject: str, cohorts: Sequence[str] = (), now: datetime
) -> str:
    """A JWT with the claims of design section 6, signed with the secret.

    Raises SettingsError in production, and where only a provider's tokens are accepted; InvalidInput for what is no id.
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
