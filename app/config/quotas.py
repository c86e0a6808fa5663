"""Quotas: how much of a shared resource each tenant may use.

A setting is a default, optionally followed by values for tenants: ``100000, socsci=250000``. Each may be ``unlimited``.
"""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from msgspec import Meta

from app.identifiers import IDENTIFIER_PATTERN

_NO_LIMIT = "unlimited"
UNLIMITED = 10**15  # above any setting, and exact in Lua's doubles
_NUMBER = f"([1-9][0-9]{{0,11}}|{_NO_LIMIT})"
_TENANT = IDENTIFIER_PATTERN.removeprefix("^").removesuffix(r"\Z")
Quota: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_NUMBER}(, *{_TENANT}={_NUMBER})*\Z",
        description="must be as 100000, or 100000, socsci=250000, where socsci is a tenant, or unlimited",
    ),
]


@dataclass(frozen=True, kw_only=True)
class QuotaSettings:
    """The part of ``app/config/settings.py`` with the quotas."""

    # Quotas per tenant: 100000, or 100000, socsci=250000. A student takes up to 4 KB of Redis.
    quota_students: Quota = "1000000"
    quota_idempotency_bytes: Quota = "100000000"  # the responses to about 250,000 requests
    quota_batch_students: Quota = "1000000"  # in stored batches: about 100 bytes of Redis each
    quota_batches: Quota = "100"  # that run at the same time; so many take turns of a tenth of a second
    # Events produced per minute, over Kafka and HTTP together. Unlimited by default, so that history can be loaded.
    quota_events: Quota = "unlimited"


class Quotas:
    """The quotas of one setting, by tenant."""

    def __init__(self, setting: str) -> None:
        general, *special = setting.split(",")
        self._general = _amount(general)
        self._special = {tenant.strip(): _amount(text) for tenant, _, text in (each.partition("=") for each in special)}
        self.limit_any = {self._general, *self._special.values()} != {UNLIMITED}

    def of(self, tenant: str) -> int:
        """The tenant's quota; ``UNLIMITED`` without a limit."""
        return self._special.get(tenant, self._general)

    def limits(self, tenant: str) -> bool:
        """Whether the tenant has a limit."""
        return self.of(tenant) < UNLIMITED


def _amount(text: str) -> int:
    return UNLIMITED if text == _NO_LIMIT else int(text)
