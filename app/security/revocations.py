"""Tokens that are good no longer, although they have not expired: each entry lasts as long as a token that it is about may."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import cast

import redis

from app.config.settings import Settings
from app.storage.keys import Keys
from app.storage.scripts import load_script

HASH_BYTES = 16  # of a token's id: whoever makes two that are alike revokes both


class Revocations:
    """Which tokens were revoked: by their id, or all that a subject had. Raises DependencyUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._revoke_subject = load_script(client, Path(__file__).with_name("revoke_subject.lua"))

    def revoke_token(self, tenant: str, jti: str, ttl_seconds: int) -> None:
        """Revoke the token with this id for so long, or for longer if it was revoked before for longer."""
        key = self._token_key(tenant, jti)
        with self._redis.pipeline() as pipeline:
            pipeline.set(key, b"", ex=ttl_seconds, nx=True)
            pipeline.expire(key, ttl_seconds, gt=True)  # of use where there was an entry already
            pipeline.execute()

    def revoke_subject(self, tenant: str, subject: str, moment: float, ttl_seconds: int) -> None:
        """Revoke every token of the subject, whatever its role, whose ``iat`` is not after this second (Unix time)."""
        self._revoke_subject([self._subject_key(tenant, subject)], [int(moment), ttl_seconds])

    def is_revoked(self, tenant: str, subject: str, jti: str, issued_at: float | None) -> bool:
        """Whether this token was revoked; one that does not say when it was issued counts as old. One round trip."""
        values = cast("list[bytes | None]", self._redis.mget(self.keys(tenant, subject, jti)))
        return revoked(values, issued_at)

    def keys(self, tenant: str, subject: str, jti: str) -> list[str]:
        """Where it is said whether a token was revoked: ``revoked`` understands their values."""
        return [self._token_key(tenant, jti), self._subject_key(tenant, subject)]

    def _token_key(self, tenant: str, jti: str) -> str:
        return self._keys.revoked_token(tenant, hashed(jti))

    def _subject_key(self, tenant: str, subject: str) -> str:
        return self._keys.revoked_subject(tenant, subject)


def hashed(jti: str) -> str:
    """What a token's id is called in Redis and in the audit trail: the id itself is whatever its issuer made it."""
    return blake2b(jti.encode(), digest_size=HASH_BYTES).hexdigest()


def revoked(values: Sequence[bytes | None], issued_at: float | None) -> bool:
    """What the values of a token's keys say about it."""
    token, moment = values
    # A token names the second it was issued in, or a fraction of it: the whole second counts as before.
    is_old = moment is not None and (issued_at is None or int(issued_at) <= int(moment))
    return token is not None or is_old


def longest_validity(settings: Settings) -> int:
    """For how many seconds at most a token that exists now is accepted.

    The issuer's clock may be ahead by the leeway (and PyJWT cuts off fractions of a second), and a token is accepted for the
    leeway after it has expired.
    """
    return settings.jwt_max_seconds + 2 * settings.jwt_leeway_seconds + 1
