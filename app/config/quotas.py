"""Quotas: how much of something each tenant may have. One tenant must not fill what all of them share.

A setting is a number, or a number and those of some tenants: ``100000, socsci=250000``. Each may be ``unlimited``.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from app.identifiers import IDENTIFIER_PATTERN

_NO_LIMIT = "unlimited"
UNLIMITED = 10**15  # more than a setting can say, and a number that Lua has exactly
_NUMBER = f"([1-9][0-9]{{0,11}}|{_NO_LIMIT})"
_TENANT = IDENTIFIER_PATTERN.removeprefix("^").removesuffix(r"\Z")
Quota: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_NUMBER}(, *{_TENANT}={_NUMBER})*\Z",
        description="must be as 100000, or 100000, socsci=250000, where socsci is a tenant, or unlimited",
    ),
]


class Quotas:
    """What a setting says of each tenant."""

    def __init__(self, setting: str) -> None:
        general, *special = setting.split(",")
        self._general = _amount(general)
        self._special = {tenant.strip(): _amount(text) for tenant, _, text in (each.partition("=") for each in special)}
        self.limit_any = {self._general, *self._special.values()} != {UNLIMITED}

    def of(self, tenant: str) -> int:
        """How much the tenant may have; at least ``UNLIMITED`` where that is for itself to say."""
        return self._special.get(tenant, self._general)

    def limits(self, tenant: str) -> bool:
        """Whether the tenant may have only so much."""
        return self.of(tenant) < UNLIMITED


def _amount(text: str) -> int:
    return UNLIMITED if text == _NO_LIMIT else int(text)
