"""Rate limits: each route's action selects the limit, and each answer has headers about the rest of it.

Authenticated callers are counted by tenant, role and subject. Requests without a valid token, and those to public routes, are
counted by address, in separate windows: requests without a token from the same address do not use up the limit of public
routes. A request is counted before its body and its caller's rights are checked.

CORS preflight requests are not counted. They are as cheap as /health, have no token, and precede authenticated requests; other
clients at the same address must not block these.

flask-limiter selects the limit, counts the request and rejects it. Its storage: the engine's windows; see docs/decisions/0012.
"""

import math
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from flask import Flask, Response, request
from flask_limiter import ApplicationLimit, ExemptionScope, Limiter
from limits.storage import MovingWindowSupport, Storage

from api.access import PUBLIC_ENDPOINTS, route_action
from api.authentication import caller, claims, engine
from api.request_audit import actor
from api.request_context import Counted, context
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.roles import Role
from app.security.access import Action, Principal
from app.security.rate_limits import PERIODS, Allowance, LocalWindows, RateLimit, RateLimiter, SharedWindows, rate_limits
from app.security.revocations import revoked

LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"

# Liveness probes must not fail because others at their address used up the limit. Readiness pings every worker, so it has a
# limit, in its own window.
_UNLIMITED, _READINESS = "health.alive", "health.ready"
_NOBODY = ".anonymous"  # in place of a tenant; no tenant begins with a dot
_IPV6_NETWORK = 64  # prefix bits; a host can choose the others (RFC 4291 section 2.5.1)

_AREAS = {
    Action.QUERY_MASTERY: "mastery",
    Action.CALCULATE_MASTERY: "mastery",
    Action.INGEST_EVENTS: "ingest",
    Action.EXPORT_STUDENT: "export",
}
# These need the record of one student.
_OF_A_RECORD = frozenset({Action.QUERY_MASTERY, Action.READ_HISTORY, Action.EXPLAIN_CHANGES, Action.COMPARE_STUDENT})
_OTHERS, _ANONYMOUS = "default", "anonymous"
_SCHEME = "mastery"


class RequestWindows(Storage, MovingWindowSupport):
    """The engine's windows as flask-limiter's storage, for the current request.

    The window is chosen here and not by ``key``, because flask-limiter logs the key of rejected requests. The result of a
    count is kept for the answer's headers, which saves a round trip.
    """

    STORAGE_SCHEME = [_SCHEME]  # noqa: RUF012 - limits' interface; it finds the class by this
    base_exceptions = DependencyUnavailable

    def __init__(self, uri: str, *, windows: RateLimiter, anonymous: RateLimit) -> None:
        super().__init__(uri)
        self._windows = windows
        self._anonymous = anonymous

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:  # noqa: ARG002 - limits' interface
        """Count the request for its caller, or without a valid token for its address. Returns whether it is granted."""
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
        """The start (Unix time) of the counted request's window, and its number of requests."""
        counted = cast("Counted", context().counted)
        began = engine().clock().timestamp() + counted.allowance.reset_seconds - expiry
        return began, counted.limit.requests - counted.allowance.remaining

    def _of_other_strategies(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("there are moving windows only")

    incr = get = get_expiry = check = reset = clear = _of_other_strategies


class AreaLimits:
    """The limits by area and role, in place of flask-limiter's manager of limits.

    flask-limiter's manager takes 50 µs per request: it looks for limits of routes, functions and blueprints, which are not used
    here, and parses the limit again.
    """

    def __init__(self, limits: Mapping[str, Mapping[Role | None, RateLimit]]) -> None:
        self._prepared = {
            (area, role): list(ApplicationLimit(limit_provider=str(limit), key_function=_area, error_message=_too_many))
            for area, of_roles in limits.items()
            for role, limit in of_roles.items()
        }

    def resolve_limits(self, *_: Any) -> tuple[list[Any], list[Any]]:
        """The limits of this request, and those of decorators (none)."""
        who = caller()
        return ([] if _is_unlimited() else self._prepared[_area(), who and who.role]), []

    def has_hints(self, _endpoint: str) -> bool:
        """Whether functions called by a view have limits."""
        return False

    def exemption_scope(self, *_: Any) -> ExemptionScope:
        """The limits from which a route is exempt by a decorator."""
        return ExemptionScope.NONE


def register_rate_limits(app: Flask) -> None:
    """Count each request after its caller is identified, and reject it above the limit; unless limits are "off"."""
    served: Engine = app.extensions["engine"]
    settings = served.settings
    if settings.ratelimit_enabled == "off":
        return
    limits = {
        "mastery": rate_limits(settings.ratelimit_mastery),
        "ingest": rate_limits(settings.ratelimit_ingest),
        "export": rate_limits(settings.ratelimit_export),
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
        request_identifier=_area,  # not the endpoint: those of files would be exempt, and unknown routes have none
    )
    limiter.limit_manager = cast("Any", AreaLimits(limits))

    @app.after_request
    def add_headers(response: Response) -> Response:
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
    """Count the request for its caller. None if the token was revoked: its holder must not use up the subject's limit."""
    named = actor(who)  # a student by the pseudonym
    token, name = claims(), f"{area}:{named.role}:{named.who}"
    revocation = engine().revocations.keys(token.tenant, token.sub, token.jti)
    allowance = limiter.count(who.tenant, name, limit, revocation, _own_record_key(who))
    context().caller_allowance = allowance
    if allowance.values is None or not revoked(allowance.values, token.iat):
        return allowance
    if allowance.granted:
        limiter.take_back(who.tenant, name)
    return None


def own_record() -> Mapping[bytes, bytes] | None:
    """The record of a student who asks about their own mastery, if it was read with the count, else None."""
    counted = context().caller_allowance
    return counted.fields if counted else None


def _own_record_key(who: Principal) -> str:
    """The key of the record to read in the same round trip: for a student's own mastery. "" for other requests."""
    is_own = who.role is Role.STUDENT and route_action() in _OF_A_RECORD
    return engine().mastery.facts.record_key(who.tenant, who.subject) if is_own else ""


def _area() -> str:
    """The area of this request's limit; anonymous for public and unknown routes, and without a caller."""
    current = context()
    if not current.area:  # cached, as flask-limiter calls this several times
        action = route_action()
        current.area = _ANONYMOUS if action is None or current.caller is None else _AREAS.get(action, _OTHERS)
    return current.area


def _is_unlimited() -> bool:
    """Whether the request is a liveness probe or a CORS preflight. Without CORS, no route has the method OPTIONS."""
    return context().endpoint == _UNLIMITED or (request.method == "OPTIONS" and context().view is not None)


def _window() -> str:
    if context().endpoint == _READINESS:
        return "ready:"
    return "public:" if context().endpoint in PUBLIC_ENDPOINTS else ""


def _address() -> str:
    """The window of a request counted by address: the IPv4 address or the IPv6 network, since a host may have all of it."""
    prefix = _window()
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:  # a Unix socket, or an obfuscated address from a proxy: such callers share one window
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
