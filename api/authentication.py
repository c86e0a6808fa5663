"""Who is calling: a JWT in the Authorization header becomes a Principal. flask-jwt-extended has it verified."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, cast
from wsgiref.types import WSGIEnvironment

from cachetools import TTLCache
from flask import Flask, current_app, request
from flask_jwt_extended import JWTManager, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTDecodeError, JWTExtendedException
from jwt import PyJWK
from jwt.exceptions import InvalidSignatureError, PyJWTError

from api.request_context import context
from app.bootstrap import Engine
from app.clock import system_clock
from app.errors import DependencyUnavailable, EngineError
from app.security.access import Principal
from app.security.revocations import revoked
from app.security.signing_keys import verification_key
from app.security.tokens import Claims, InvalidToken, claims_of, refused

# A token is verified anew after a minute, since that costs 130 to 200 µs of a request's 1,000. Whether it was revoked is asked
# with every request; only a key that the identity provider takes away is believed for so much longer.
VERIFIED_SECONDS = 60
VERIFIED_TOKENS = 10_000  # those of so many callers are remembered: 10 MB

# RFC 6750 section 2.1, the scheme in any case (RFC 9110 section 11.1). What is not of this form never reaches the library,
# which takes lists apart, knows the scheme in one case only, and raises IndexError for some of what is none.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
_NO_TOKEN = "A valid token is needed: Authorization: Bearer <JWT>."  # noqa: S105 - says that there is none


class AuthenticationFailed(EngineError):
    """The request has no valid token; the message says what is wrong with it."""


def register_authentication(app: Flask) -> None:
    """Find out who calls, before anything else is done; whether that is needed is decided by ``api/access.py``."""
    _configure(app)
    verified = _VerifiedTokens(app.extensions["engine"].settings.jwt_leeway_seconds)

    @app.before_request
    def identify() -> None:
        if request.method == "OPTIONS":
            return  # a browser asks without a token whether it may ask; Flask answers
        try:
            environ = request.environ
            header = environ["HTTP_AUTHORIZATION"] = f"Bearer {_bearer_token(environ)}"
            token = verified.claims(header) or verified.remember(header, _claims())
            context().claims, context().caller = token, token.principal
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the request is counted before this is raised
            # Kept in no local variable: the error's traceback has this frame, and a cycle would keep the request and its answer
            # until the garbage collector comes.
            context().authentication_error = error


def caller() -> Principal | None:
    """Whoever has sent a valid token with this request, or None."""
    return context().caller


def require_token() -> Principal:
    """The caller of this request. Raises AuthenticationFailed without a valid token, DependencyUnavailable if none can tell."""
    if context().authentication_error is not None:
        raise cast("Exception", context().authentication_error)  # in no local variable either
    return principal()


def require_not_revoked() -> None:
    """Raise AuthenticationFailed if the caller's token was revoked, DependencyUnavailable if that cannot be told.

    Whoever counted the request has asked Redis that as well; it is asked here if nobody counted. While Redis is away nobody
    asks it again: of requests that wait for a silent one there would soon be as many as there are threads.
    """
    token, counted = claims(), context().caller_allowance
    if counted is None:
        is_revoked = engine().revocations.is_revoked(token.tenant, token.sub, token.jti, token.iat)
    elif counted.values is None:
        raise DependencyUnavailable("redis")
    else:
        is_revoked = revoked(counted.values, token.iat)
    if is_revoked:
        raise AuthenticationFailed("The token was revoked.")


def principal() -> Principal:
    """The caller of this request."""
    return cast("Principal", context().caller)


def claims() -> Claims:
    """What the token of this request says."""
    return cast("Claims", context().claims)


def engine() -> Engine:
    """The engine that this application serves."""
    return cast("Engine", current_app.extensions["engine"])


class _VerifiedTokens:
    """What tokens say that were verified in the last minute, by a hash of the header that brought them. Thread-safe."""

    def __init__(self, leeway_seconds: int) -> None:
        self._leeway = leeway_seconds
        self._lock = Lock()
        self._tokens: TTLCache[bytes, Claims] = TTLCache(VERIFIED_TOKENS, VERIFIED_SECONDS)

    def claims(self, header: str) -> Claims | None:
        """The claims of a token that was verified, and has not expired since; None for any other."""
        with self._lock:
            found = self._tokens.get(_digest(header))
        return found if found is not None and found.exp + self._leeway > system_clock().timestamp() else None

    def remember(self, header: str, claims: Claims) -> Claims:
        """Keep and return the claims."""
        with self._lock:
            self._tokens[_digest(header)] = claims
        return claims


def _digest(header: str) -> bytes:
    return blake2b(header.encode()).digest()


def _bearer_token(environ: WSGIEnvironment) -> str:
    """What stands in the header where a token belongs. Raises AuthenticationFailed where nothing does."""
    found = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        raise AuthenticationFailed(_NO_TOKEN)
    return found[1]


def _configure(app: Flask) -> None:
    settings, keys = app.extensions["engine"].settings, app.extensions["engine"].signing_keys
    algorithms = settings.algorithms
    app.config.update(
        JWT_ALGORITHM=algorithms[0],  # nothing is signed here, but the library accepts this one beside those below
        JWT_DECODE_ALGORITHMS=algorithms,
        JWT_DECODE_ISSUER=settings.jwt_issuer or None,
        JWT_DECODE_AUDIENCE=settings.jwt_audience or None,
        JWT_DECODE_LEEWAY=settings.jwt_leeway_seconds,
    )
    manager = JWTManager(app)

    @manager.decode_key_loader
    def key(header: dict[str, Any], _payload: dict[str, Any]) -> str | PyJWK:
        return verification_key(header, settings, keys, context().jwt_secret)


def _claims() -> Claims:
    try:
        # Not the engine's clock: the library has checked the other times by the system's.
        return claims_of(_verified(engine().settings.jwt_secrets), engine().settings, system_clock())
    except InvalidToken as error:
        raise AuthenticationFailed(str(error)) from error
    except PyJWTError as error:
        raise AuthenticationFailed(str(refused(error))) from error
    except JWTDecodeError as error:  # this one check is the library's own
        raise AuthenticationFailed("The token's claim sub is missing.") from error
    except JWTExtendedException as error:
        raise AuthenticationFailed(_NO_TOKEN) from error


def _verified(secrets: Sequence[str]) -> dict[str, Any]:
    """What the token says, if its signature and times hold. Raises what the libraries raise.

    While the secret is replaced there are two; the library takes one, so the token is tried with each.
    """
    context().jwt_secret, *others = secrets
    try:
        # The type of the token is one of the claims that are checked afterwards.
        _header, payload = cast("tuple[dict[str, Any], dict[str, Any]]", verify_jwt_in_request(verify_type=False))
    except InvalidSignatureError:
        if not others:
            raise
        return _verified(others)
    return payload
