"""The settings of batches, and their checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeAlias

from msgspec import Meta

from app.config.field_types import listed

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """The part of ``app/config/settings.py`` about batches."""

    # How long a batch and its results are kept after its end; one that still runs this long after its creation expires.
    batch_retention_hours: Annotated[int, Meta(ge=1, le=24 * 365)] = 24
    # How long the receiver of a callback may take, from the connection to the status of its answer.
    callback_timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    # Networks that are not public and have receivers of callbacks: 10.1.0.0/16, fd00:1::/32. Tenants can call everything there.
    callback_private_networks: str = ""


def networks(setting: str) -> list[Network]:
    """The networks of ``callback_private_networks``. Raises ValueError."""
    return [ip_network(each) for each in listed(setting)]


def batch_contradictions(settings: BatchSettings) -> Iterator[str]:
    """Networks that are none."""
    try:
        networks(settings.callback_private_networks)
    except ValueError as error:
        yield f"MASTERY_CALLBACK_PRIVATE_NETWORKS: {error}; must be networks, as in 10.1.0.0/16, fd00:1::/32"
