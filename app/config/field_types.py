"""Types of settings, with their bounds."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from app.roles import Role

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
