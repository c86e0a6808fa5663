"""How often a caller may call: each route's action says which limit counts, and each answer what is left of it.

Known callers are counted by tenant, role and subject; calls without a valid token, and those of routes that anyone may call, by
their address, in two windows: what neighbours send without a token takes the public routes from nobody. A request is counted
before its body, or the rights of its caller, are looked at.

A browser's question whether a page may call (CORS) is not counted: it is answered as cheaply as /health, and comes before each
call of a known caller, whom the junk of a neighbour must not stop.

flask-limiter has the order of events: it asks which limit counts, has the request counted, and refuses it. Its storage are the
engine's windows; decision 12 says why.
"""

import math
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from flask import Flask, Response, current_app, request
from flask_limiter import ApplicationLimit, ExemptionScope, Limiter
from limits.storage import MovingWindowSupport, Storage

from api.access import PUBLIC_ENDPOINTS
from api.authentication import caller, claims, engine
from api.request_context import Counted, context
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.roles import Role
from app.security.access import Action, Principal
from app.security.rate_limits import PERIODS, Allowance, LocalWindows, RateLimit, RateLimiter, SharedWindows, rate_limits
from app.security.revocations import revoked

LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"

# Probes must not find a process dead because others have used up what their address may. Readiness asks every worker, so it has
# a limit, but one of its own.
_UNLIMITED, _READINESS = "health.alive", "health.ready"
_NOBODY = ".anonymous"  # in place of a tenant, of which none begins like this
_IPV6_NETWORK = 64  # bits; the others are any host's choice (RFC 4291 section 2.5.1)

_AREAS = {Action.QUERY_MASTERY: "mastery", Action.CALCULATE_MASTERY: "mastery", Action.INGEST_EVENTS: "ingest"}
_OTHERS, _ANONYMOUS = "default", "anonymous"
_SCHEME = "mastery"


class RequestWindows(Storage, MovingWindowSupport):
    """The windows as the storage that flask-limiter asks, for the request that is being answered.

    Whose window that is, is known here; ``key`` does not say it, since flask-limiter logs the key of whoever is refused. What a
    count tells is kept for the answer's headers: to ask for it would be a second round trip.
    """

    STORAGE_SCHEME = [_SCHEME]  # noqa: RUF012 - limits' way; the class is found by it
    base_exceptions = DependencyUnavailable

    def __init__(self, uri: str, *, windows: RateLimiter, anonymous: RateLimit) -> None:
        super().__init__(uri)
        self._windows = windows
        self._anonymous = anonymous

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:  # noqa: ARG002 - limits' interface
        """Count the request, unless the limit is reached: for its caller; without a token that is good, for its address."""
        who, area, counted = caller(), _area(), RateLimit(limit, PERIODS[expiry])
        allowance = None
        if who is not None and area != _ANONYMOUS:
            allowance = _count_caller(self._windows, who, area, counted)
        if allowance is None:
            counted = self._anonymous
            allowance = self._windows.count(_NOBODY, _address(), counted)
        context().counted = Counted(counted, allowance)
        return allowance.granted

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """When the window of the request that was counted began (Unix time), and how many requests are in it."""
        counted = cast("Counted", context().counted)
        began = engine().clock().timestamp() + counted.allowance.reset_seconds - expiry
        return began, counted.limit.requests - counted.allowance.remaining

    def _of_other_strategies(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("there are moving windows only")

    incr = get = get_expiry = check = reset = clear = _of_other_strategies


class AreaLimits:
    """The limit of each area and role, in place of flask-limiter's manager of limits.

    That one looks for limits and exemptions of the route, the function and the blueprint, of which there are none here, and
    reads the limit's text anew: with every request, for 50 µs.
    """

    def __init__(self, limits: Mapping[str, Mapping[Role | None, RateLimit]]) -> None:
        self._prepared = {
            (area, role): list(ApplicationLimit(limit_provider=str(limit), key_function=_area, error_message=_too_many))
            for area, of_roles in limits.items()
            for role, limit in of_roles.items()
        }

    def resolve_limits(self, *_: Any) -> tuple[list[Any], list[Any]]:
        """Those that count for this request, and those that decorators add."""
        who = caller()
        return ([] if _is_unlimited() else self._prepared[_area(), who and who.role]), []

    def has_hints(self, _endpoint: str) -> bool:
        """Whether a function within a view has limits of its own."""
        return False

    def exemption_scope(self, *_: Any) -> ExemptionScope:
        """Which limits a route is exempt from, by being marked."""
        return ExemptionScope.NONE


def register_rate_limits(app: Flask) -> None:
    """Count each request as soon as it is known who calls, and refuse it where there were too many. "off": nothing of this."""
    served: Engine = app.extensions["engine"]
    settings = served.settings
    if settings.ratelimit_enabled == "off":
        return
    limits = {
        "mastery": rate_limits(settings.ratelimit_mastery),
        "ingest": rate_limits(settings.ratelimit_ingest),
        _OTHERS: rate_limits(settings.ratelimit_default),
        _ANONYMOUS: rate_limits(settings.ratelimit_anonymous),
    }

    windows = RateLimiter(SharedWindows(served.redis, settings.key_prefix), LocalWindows())
    limiter = Limiter(
        _area,
        app=app,
        strategy="moving-window",
        storage_uri=f"{_SCHEME}://",
        storage_options=cast("Any", {"windows": windows, "anonymous": limits[_ANONYMOUS][None]}),
        request_identifier=_area,  # not the endpoint: that of a file would be exempt, and what is no route has none
    )
    limiter.limit_manager = cast("Any", AreaLimits(limits))

    @app.after_request
    def tell(response: Response) -> Response:
        if (counted := context().counted) is not None:
            response.headers.extend(_headers(counted, served.clock().timestamp()))
        return response


def _headers(counted: Counted, now: float) -> dict[str, str]:
    limit, allowance = counted
    headers = {
        LIMIT_HEADER: str(limit.requests),
        REMAINING_HEADER: str(allowance.remaining),
        RESET_HEADER: str(math.ceil(now + allowance.reset_seconds)),
    }
    if not allowance.granted:
        headers["Retry-After"] = str(_wait(allowance))
    return headers


def _count_caller(limiter: RateLimiter, who: Principal, area: str, limit: RateLimit) -> Allowance | None:
    """Count the request for its caller, unless the token was revoked: its holder must not use up what the subject may do."""
    token, name = claims(), f"{area}:{who.identity}"
    revocation = engine().revocations.keys(token.tenant, token.sub, token.jti)
    allowance = limiter.count(who.tenant, name, limit, revocation, _own_record_key(who))
    context().caller_allowance = allowance
    if allowance.values is None or not revoked(allowance.values, token.iat):
        return allowance
    if allowance.granted:
        limiter.take_back(who.tenant, name)
    return None


def own_record() -> Mapping[bytes, bytes] | None:
    """The record of a student who asks about themselves, where it was read with the count; else None."""
    counted = context().caller_allowance
    return counted.fields if counted else None


def _own_record_key(who: Principal) -> str:
    """The record that a request is sure to need, read in the same round trip: a student can query nobody else's."""
    is_own = who.role is Role.STUDENT and _action() is Action.QUERY_MASTERY
    return engine().mastery.facts.record_key(who.tenant, who.subject) if is_own else ""


def _area() -> str:
    """Which limit counts for this route; that of addresses where anyone may call it, or it does not exist, or nobody calls."""
    asked = context()
    if not asked.area:  # flask-limiter asks several times
        action = _action()
        asked.area = _ANONYMOUS if action is None or asked.caller is None else _AREAS.get(action, _OTHERS)
    return asked.area


def _action() -> Action | None:
    """What the route does; None for one that anyone may call, or that does not exist."""
    view = current_app.view_functions.get(request.endpoint or "")
    return getattr(view, "action", None)


def _is_unlimited() -> bool:
    """A probe of the process, or a preflight. Where browsers may ask, Flask answers them on every route; elsewhere no route has
    the method.
    """
    return request.endpoint == _UNLIMITED or (request.method == "OPTIONS" and request.endpoint is not None)


def _window() -> str:
    if request.endpoint == _READINESS:
        return "ready:"
    return "public:" if request.endpoint in PUBLIC_ENDPOINTS else ""


def _address() -> str:
    """Whom a call without a caller is counted for: a host, or a network where one host has all of its addresses."""
    prefix = _window()
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:  # a Unix socket's, or what a proxy says that hides it: such callers share one window
        return f"{prefix}unknown"
    if isinstance(address, IPv6Address):
        host_bits = 128 - _IPV6_NETWORK
        address = address.ipv4_mapped or IPv6Address(int(address) >> host_bits << host_bits)
    return f"{prefix}{address}"


def _too_many() -> str:
    limit, allowance = cast("Counted", context().counted)
    return f"Too many requests: at most {limit.requests} per {limit.period}; try again after {_wait(allowance)} s."


def _wait(allowance: Allowance) -> int:
    """Whole seconds (RFC 9110 section 10.2.3) until there is room for a request."""
    return max(1, math.ceil(allowance.reset_seconds))
