"""What the parts of the API tell each other about the request that is being answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, cast

from flask import g

from app.security.access import Action, Principal
from app.security.rate_limits import Allowance, RateLimit
from app.security.tokens import Claims


class Counted(NamedTuple):
    """As what a request was counted, and what came of it."""

    limit: RateLimit
    allowance: Allowance


@dataclass(slots=True)
class RequestContext:
    """Of one request. Each field says who writes it."""

    began: float = field(default_factory=perf_counter)  # seconds, by a clock of its own
    correlation_id: str = ""  # responses
    caller: Principal | None = None  # authentication: whoever has sent a valid token
    claims: Claims | None = None  # authentication: what the caller's token says
    authentication_error: Exception | None = None  # authentication: why there is no caller
    jwt_secret: str = ""  # authentication: with which the token is being tried
    area: str = ""  # rate_limits: which limit counts
    counted: Counted | None = None  # rate_limits
    caller_allowance: Allowance | None = None  # rate_limits: what was read along when the caller was counted
    action: Action | None = None  # access: what the request is about to do, once its caller is known
    data_subjects: Sequence[str] = ()  # access, and views: the students whose data the request is about
    audit_details: dict[str, str | int | bool] = field(default_factory=dict)  # views, for the audit trail
    unavailable: str = ""  # errors: the dependency that did not answer


def context() -> RequestContext:
    """That of the request that is being answered; it begins when it is first asked for."""
    found = cast("RequestContext | None", g.get("request_context"))
    if found is None:
        found = g.request_context = RequestContext()
    return found
