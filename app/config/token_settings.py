"""The settings of access tokens, except for the secrets, and their checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from app.config.field_types import listed
from app.config.url_settings import is_http_url

# A shared secret (RFC 7518 section 3.2), or keys of an identity provider (sections 3.3 and 3.4).
SECRET_ALGORITHMS = frozenset({"HS256"})
KEY_ALGORITHMS = frozenset({"RS256", "ES256"})


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The part of ``app/config/settings.py`` about tokens."""

    # Tokens: signed with the secret, or with a key from the identity provider's JWKS URL.
    jwt_jwks_url: str = ""
    jwt_algorithms: str = ""  # comma-separated; empty: HS256, or with a JWKS URL RS256,ES256
    jwt_issuer: str = ""  # required value of `iss`; empty: not checked
    jwt_audience: str = ""  # required value or member of `aud`; empty: tokens with `aud` are rejected
    jwt_leeway_seconds: Annotated[int, Meta(ge=0, le=300)] = 10  # tolerated clock skew of the provider
    # Maximum lifetime of a token. It bounds how long revocations are kept and how long a stolen token is useful.
    jwt_max_seconds: Annotated[int, Meta(ge=60, le=366 * 86400)] = 30 * 86_400
    token_ttl_seconds: Annotated[int, Meta(ge=60, le=30 * 86400)] = 86_400  # of development tokens

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that a token may be signed with."""
        return listed(self.jwt_algorithms or ("RS256,ES256" if self.jwt_jwks_url else "HS256"))


def token_contradictions(settings: TokenSettings) -> Iterator[str]:
    """Settings that are invalid or contradict each other, one line each."""
    known = ", ".join(sorted(SECRET_ALGORITHMS | KEY_ALGORITHMS))
    named = set(settings.algorithms)
    if unknown := named - SECRET_ALGORITHMS - KEY_ALGORITHMS:
        yield f"MASTERY_JWT_ALGORITHMS: {', '.join(sorted(unknown))} is refused; there are {known}"
    if not named:
        yield f"MASTERY_JWT_ALGORITHMS: names none of {known}"
    if KEY_ALGORITHMS & named and not settings.jwt_jwks_url:
        yield "MASTERY_JWT_ALGORITHMS: RS256 and ES256 need MASTERY_JWT_JWKS_URL"
    if settings.jwt_jwks_url and not is_http_url(settings.jwt_jwks_url):
        yield "MASTERY_JWT_JWKS_URL: must be https://host/…, without a name and password"
    if settings.token_ttl_seconds > settings.jwt_max_seconds:
        yield "MASTERY_TOKEN_TTL_SECONDS: is above MASTERY_JWT_MAX_SECONDS"


def weak_tokens(settings: TokenSettings) -> Iterator[str]:
    """What production rejects, one line each."""
    if settings.jwt_jwks_url.lower().startswith("http:"):
        yield "MASTERY_JWT_JWKS_URL: must be https:// in production"
    if settings.jwt_jwks_url and not settings.jwt_issuer:
        yield "MASTERY_JWT_ISSUER: must be set in production beside MASTERY_JWT_JWKS_URL"
    if settings.jwt_jwks_url and not settings.jwt_audience:
        beside = "beside MASTERY_JWT_JWKS_URL, whose keys sign tokens for others, too"
        yield f"MASTERY_JWT_AUDIENCE: must be set in production {beside}"
