"""Revoked tokens. A revocation is stored as long as its tokens may be valid."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import cast

import redis

from app.config.settings import Settings
from app.pseudonyms import Pseudonymize
from app.storage.keys import Keys
from app.storage.scripts import load_script

HASH_BYTES = 16  # of a token's id; an issuer that creates a collision revokes both tokens


class Revocations:
    """Revocations of single tokens and of all tokens of a subject. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, pseudonyms: Pseudonymize) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._pseudonyms = pseudonyms
        self._revoke_subject = load_script(client, Path(__file__).with_name("revoke_subject.lua"))

    def revoke_token(self, tenant: str, jti: str, ttl_seconds: int) -> None:
        """Revoke the token with this id for ``ttl_seconds``; never shortens an existing revocation."""
        key = self._token_key(tenant, jti)
        with self._redis.pipeline() as pipeline:
            pipeline.set(key, b"", ex=ttl_seconds, nx=True)
            pipeline.expire(key, ttl_seconds, gt=True)  # for an existing entry
            pipeline.execute()

    def revoke_subject(self, tenant: str, subject: str, moment: float, ttl_seconds: int) -> None:
        """Revoke all tokens of the subject, in any role, issued up to this second (Unix time)."""
        self._revoke_subject([self._subject_keys(tenant, subject)[0]], [int(moment), ttl_seconds])

    def is_revoked(self, tenant: str, subject: str, jti: str, issued_at: float | None) -> bool:
        """Whether this token is revoked; a token without ``iat`` counts as old. One round trip."""
        values = cast("list[bytes | None]", self._redis.mget(self.keys(tenant, subject, jti)))
        return revoked(values, issued_at)

    def keys(self, tenant: str, subject: str, jti: str) -> list[str]:
        """The keys of a token's revocations; pass their values to ``revoked``."""
        return [self._token_key(tenant, jti), *self._subject_keys(tenant, subject)]

    def _token_key(self, tenant: str, jti: str) -> str:
        return self._keys.revoked_token(tenant, hashed(jti))

    def _subject_keys(self, tenant: str, subject: str) -> list[str]:
        """By pseudonym: they outlive the erasure of a student, whose old tokens must stay revoked."""
        return [self._keys.revoked_subject(tenant, each) for each in self._pseudonyms(tenant, subject)]


def hashed(jti: str) -> str:
    """A hash of a token's id for Redis and the audit trail, since an issuer may choose any id."""
    return blake2b(jti.encode(), digest_size=HASH_BYTES).hexdigest()


def revoked(values: Sequence[bytes | None], issued_at: float | None) -> bool:
    """Whether a token is revoked, according to the values of its keys."""
    token, *moments = values
    # `iat` may lack the fraction of its second, so a revocation covers the whole second.
    is_old = any(each is not None and (issued_at is None or int(issued_at) <= int(each)) for each in moments)
    return token is not None or is_old


def longest_validity(settings: Settings) -> int:
    """The maximum remaining validity of a token.

    The leeway counts twice: the issuer's clock may be ahead, and tokens are accepted after they expired. PyJWT truncates
    fractions of a second.

    Returns:
        Seconds.
    """
    return settings.jwt_max_seconds + 2 * settings.jwt_leeway_seconds + 1
