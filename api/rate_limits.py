"""How often a caller may call: each route's action says which limit counts, and each answer what is left of it.

Known callers are counted by tenant, role and subject; calls without a valid token, and those of routes that anyone may call, by
their address, in two windows: what neighbours send without a token takes the public routes from nobody. A request is counted
before its body, or the rights of its caller, are looked at.

A browser's question whether a page may call (CORS) is not counted: it is answered as cheaply as /health, and comes before each
call of a known caller, whom the junk of a neighbour must not stop.
"""

import math
from ipaddress import IPv6Address, ip_address

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import TooManyRequests

from api.access import PUBLIC_ENDPOINTS
from api.authentication import caller, claims, engine
from app.bootstrap import Engine
from app.security.access import Action, Principal
from app.security.rate_limits import Allowance, LocalWindows, RateLimit, RateLimiter, SharedWindows, rate_limits
from app.security.revocations import revoked

LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"

# Probes must not find a process dead because others have used up what their address may. Readiness asks every worker, so it has
# a limit, but one of its own.
_UNLIMITED, _READINESS = "health.alive", "health.ready"
_ANONYMOUS = ".anonymous"  # in place of a tenant, of which none begins like this
_IPV6_NETWORK = 64  # bits; the others are any host's choice (RFC 4291 section 2.5.1)

_AREAS = {Action.QUERY_MASTERY: "mastery", Action.CALCULATE_MASTERY: "mastery", Action.INGEST_EVENTS: "ingest"}
_OTHERS = "default"


def register_rate_limits(app: Flask) -> None:
    """Count each request as soon as it is known who calls, and refuse it where there were too many. "off": nothing of this."""
    served: Engine = app.extensions["engine"]
    settings = served.settings
    if settings.ratelimit_enabled == "off":
        return
    limiter = RateLimiter(SharedWindows(served.redis, settings.key_prefix), LocalWindows())
    anonymous = rate_limits(settings.ratelimit_anonymous)[None]
    limits = {
        "mastery": rate_limits(settings.ratelimit_mastery),
        "ingest": rate_limits(settings.ratelimit_ingest),
        _OTHERS: rate_limits(settings.ratelimit_default),
    }

    @app.before_request
    def count() -> None:
        if request.endpoint == _UNLIMITED or _is_preflight():
            return
        who, area = caller(), _area()
        limit, allowance = anonymous, None
        if who is not None and area is not None:
            limit = limits[area][who.role]
            allowance = _count_caller(limiter, who, area, limit)
        if allowance is None:
            limit, allowance = anonymous, limiter.count(_ANONYMOUS, _address(), anonymous)
        g.rate_limit_headers = {
            LIMIT_HEADER: str(limit.requests),
            REMAINING_HEADER: str(allowance.remaining),
            RESET_HEADER: str(math.ceil(served.clock().timestamp() + allowance.reset_seconds)),
        }
        if not allowance.granted:
            raise _too_many(limit, allowance)

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers.update(g.get("rate_limit_headers", {}))
        return response


def _count_caller(limiter: RateLimiter, who: Principal, area: str, limit: RateLimit) -> Allowance | None:
    """Count the request for its caller, unless the token was revoked: its holder must not use up what the subject may do."""
    token, name = claims(), f"{area}:{who.identity}"
    allowance = limiter.count(who.tenant, name, limit, engine().revocations.keys(token.tenant, token.sub, token.jti))
    g.revocation = allowance.values
    if allowance.values is None or not revoked(allowance.values, token.iat):
        return allowance
    if allowance.granted:
        limiter.take_back(who.tenant, name)
    return None


def _area() -> str | None:
    """Which limit counts for this route; None for one that anyone may call, or that does not exist."""
    view = current_app.view_functions.get(request.endpoint or "")
    action: Action | None = getattr(view, "action", None)
    return action and _AREAS.get(action, _OTHERS)


def _is_preflight() -> bool:
    """Where browsers may ask (CORS), Flask answers them on every route; elsewhere no route has the method."""
    return request.method == "OPTIONS" and request.endpoint is not None


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


def _too_many(limit: RateLimit, allowance: Allowance) -> TooManyRequests:
    seconds = max(1, math.ceil(allowance.reset_seconds))  # whole ones (RFC 9110 section 10.2.3)
    message = f"Too many requests: at most {limit.requests} per {limit.period}; try again after {seconds} s."
    return TooManyRequests(message, retry_after=seconds)
