"""The state of the current request that parts of the API share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, cast

from flask import g

from app.security.access import Action, Principal
from app.security.rate_limits import Allowance, RateLimit
from app.security.tokens import Claims


class Counted(NamedTuple):
    """The rate limit by which a request was counted, and the result."""

    limit: RateLimit
    allowance: Allowance


@dataclass(slots=True)
class RequestContext:
    """The state of one request. The comments name the modules that write each field."""

    began: float = field(default_factory=perf_counter)  # seconds, of time.perf_counter
    correlation_id: str = ""  # responses
    caller: Principal | None = None  # authentication: the holder of a valid token
    claims: Claims | None = None  # authentication: of the caller's token
    authentication_error: Exception | None = None  # authentication: why there is no caller
    jwt_secret: str = ""  # authentication: the secret with which the token is being verified
    area: str = ""  # rate_limits: selects the limit
    counted: Counted | None = None  # rate_limits
    caller_allowance: Allowance | None = None  # rate_limits: the caller's count, with values read in the same round trip
    action: Action | None = None  # access, for non-public routes
    data_subjects: Sequence[str] = ()  # access, views: the students whose data the request is about
    audit_details: dict[str, str | int | bool] = field(default_factory=dict)  # views, for the audit trail
    unavailable: str = ""  # errors: the dependency that did not answer


def context() -> RequestContext:
    """The context of the current request; created on first use, which starts its clock."""
    found = cast("RequestContext | None", g.get("request_context"))
    if found is None:
        found = g.request_context = RequestContext()
    return found
