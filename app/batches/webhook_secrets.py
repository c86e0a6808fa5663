"""The secrets that sign callbacks: one per tenant, and for a while after a rotation the previous one too.

They are in Redis and not in the settings, since a tenant's secret is created and rotated without a restart.
"""

import secrets
from base64 import b64encode
from pathlib import Path
from typing import cast

import redis

from app.errors import InvalidInput, NotFound
from app.storage.keys import Keys
from app.storage.scripts import load_script

# Standard Webhooks: 24 to 64 random bytes, in Base64 with this prefix.
SECRET_BYTES, SECRET_PREFIX = 32, "whsec_"


class WebhookSecrets:
    """The webhook secrets of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._rotate = load_script(client, Path(__file__).with_name("rotate_secret.lua"))

    def create(self, tenant: str) -> str:
        """Create the secret of a tenant that has none.

        Returns:
            The secret, which is not shown again.

        Raises:
            InvalidInput: The tenant has one.
        """
        made = _new()
        if not self._redis.set(self._keys.webhook_secret(tenant), made, nx=True):
            raise InvalidInput("", f"{tenant} has a webhook secret already: rotate it")
        return made

    def rotate(self, tenant: str, overlap_seconds: float) -> str:
        """Replace the secret of a tenant. The replaced one signs too, for ``overlap_seconds``; the one before no longer.

        Returns:
            The new secret, which is not shown again.

        Raises:
            NotFound: The tenant has none.
        """
        made = _new()
        keys = [self._keys.webhook_secret(tenant), self._keys.webhook_secret_previous(tenant)]
        if not self._rotate(keys, [made, round(overlap_seconds * 1000)]):
            raise NotFound(f"{tenant} has no webhook secret: create one")
        return made

    def revoke(self, tenant: str) -> bool:
        """Delete the secrets of a tenant, so that nothing is sent until there is a new one. Returns whether it had one."""
        keys = [self._keys.webhook_secret(tenant), self._keys.webhook_secret_previous(tenant)]
        return bool(self._redis.delete(*keys))

    def of(self, tenant: str) -> list[str]:
        """The secrets that sign the tenant's messages now, the current one first; empty if it has none."""
        keys = [self._keys.webhook_secret(tenant), self._keys.webhook_secret_previous(tenant)]
        current, previous = cast("list[bytes | None]", self._redis.mget(keys))
        return [each.decode() for each in (current, previous) if each is not None] if current is not None else []


def _new() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
