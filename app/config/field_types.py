"""Types of settings, with their bounds, and the list that a text may be."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from app.roles import Role

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2000)]
Switch: TypeAlias = Literal["on", "off"]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
# "50/minute", or "50/minute, admin=600/minute": the limit per caller, and per caller of a role.
_RATE = "[1-9][0-9]{0,6}/(second|minute|hour|day)"
RateLimits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_RATE}(, *({'|'.join(Role)})={_RATE})*\Z",
        description="must be as 50/minute, or 50/minute, admin=600/minute; there are second, minute, hour and day",
    ),
]


def listed(text: str) -> list[str]:
    """The items of a comma-separated setting."""
    return [part for part in (each.strip() for each in text.split(",")) if part]
