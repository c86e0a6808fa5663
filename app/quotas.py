"""Quotas: how much of something each tenant may have. One tenant must not fill what all of them share.

A setting is a number, or a number and those of some tenants: ``100000, socsci=250000``.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from app.identifiers import IDENTIFIER_PATTERN

_NUMBER = "[1-9][0-9]{0,11}"
_TENANT = IDENTIFIER_PATTERN.removeprefix("^").removesuffix(r"\Z")
Quota: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_NUMBER}(, *{_TENANT}={_NUMBER})*\Z",
        description="must be as 100000, or 100000, socsci=250000, where socsci is a tenant",
    ),
]


class Quotas:
    """What a setting says of each tenant."""

    def __init__(self, setting: str) -> None:
        general, *special = setting.split(",")
        self._general = int(general)
        self._special = {tenant.strip(): int(number) for tenant, _, number in (each.partition("=") for each in special)}

    def of(self, tenant: str) -> int:
        """How much the tenant may have."""
        return self._special.get(tenant, self._general)
