"""Authentication: converts the JWT in the Authorization header to a Principal. flask-jwt-extended verifies it."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, cast
from wsgiref.types import WSGIEnvironment

from cachetools import TTLCache
from flask import Flask, request
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

# Verified tokens are cached for a minute: verification takes 130 to 200 µs of a request's 1,000. Revocation is checked at every
# request; only a key that the identity provider withdraws stays valid for this long.
VERIFIED_SECONDS = 60
VERIFIED_TOKENS = 10_000  # size of the cache: 10 MB

# RFC 6750 section 2.1, with the scheme in any case (RFC 9110 section 11.1). Other headers do not reach flask-jwt-extended: it
# splits lists, accepts the scheme in one case only, and raises IndexError for some malformed headers.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
_NO_TOKEN = "A valid token is needed: Authorization: Bearer <JWT>."  # noqa: S105 - a message


class AuthenticationFailed(EngineError):
    """The request has no valid token; the message is the reason."""


def register_authentication(app: Flask) -> None:
    """Identify the caller before each request; ``api/access.py`` decides whether the route requires one."""
    _configure(app)
    verified = _VerifiedTokens(app.extensions["engine"].settings.jwt_leeway_seconds)

    @app.before_request
    def identify() -> None:
        if request.method == "OPTIONS":
            return  # CORS preflight requests have no token
        try:
            environ = request.environ
            header = environ["HTTP_AUTHORIZATION"] = f"Bearer {_bearer_token(environ)}"
            token = verified.claims(header) or verified.remember(header, _claims())
            context().claims, context().caller = token, token.principal
        except Exception as error:  # noqa: BLE001 - raised later, after the request is counted
            # Not in a local variable: the error's traceback has this frame, and a reference cycle would keep the request and
            # its answer alive until the next garbage collection.
            context().authentication_error = error


def caller() -> Principal | None:
    """The caller, if this request has a valid token, else None."""
    return context().caller


def require_token() -> Principal:
    """The caller. Raises AuthenticationFailed without a valid token, DependencyUnavailable if its key cannot be fetched."""
    if context().authentication_error is not None:
        raise cast("Exception", context().authentication_error)  # not in a local variable, as above
    return principal()


def require_not_revoked() -> None:
    """Check that the caller's token was not revoked.

    The rate limiter has read this from Redis when it counted the request. Without rate limits, it is read here. If the rate
    limiter got no answer from Redis, this fails without asking again: waiting requests would soon occupy all threads.

    Raises:
        AuthenticationFailed: the token was revoked.
        DependencyUnavailable: Redis does not answer.
    """
    token, counted = claims(), context().caller_allowance
    if counted is None:
        is_revoked = engine().revocations.is_revoked(token.tenant, token.sub, token.jti, token.iat)
    elif counted.values is None:
        raise DependencyUnavailable("redis", "did not answer when the request was counted")
    else:
        is_revoked = revoked(counted.values, token.iat)
    if is_revoked:
        raise AuthenticationFailed("The token was revoked.")


def principal() -> Principal:
    """The caller of this request, which must be authenticated."""
    return cast("Principal", context().caller)


def claims() -> Claims:
    """The claims of this request's token."""
    return cast("Claims", context().claims)


def engine() -> Engine:
    """The engine that this application serves."""
    return context().engine


class _VerifiedTokens:
    """Caches the claims of verified tokens by a hash of the Authorization header. Thread-safe."""

    def __init__(self, leeway_seconds: int) -> None:
        self._leeway = leeway_seconds
        self._lock = Lock()
        self._tokens: TTLCache[bytes, Claims] = TTLCache(VERIFIED_TOKENS, VERIFIED_SECONDS)

    def claims(self, header: str) -> Claims | None:
        """The cached claims of a token that has not expired, else None."""
        with self._lock:
            found = self._tokens.get(_digest(header))
        return found if found is not None and found.exp + self._leeway > system_clock().timestamp() else None

    def remember(self, header: str, claims: Claims) -> Claims:
        """Cache and return the claims."""
        with self._lock:
            self._tokens[_digest(header)] = claims
        return claims


def _digest(header: str) -> bytes:
    return blake2b(header.encode()).digest()


def _bearer_token(environ: WSGIEnvironment) -> str:
    """The token in the Authorization header. Raises AuthenticationFailed if there is none."""
    found = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        raise AuthenticationFailed(_NO_TOKEN)
    return found[1]


def _configure(app: Flask) -> None:
    settings, keys = app.extensions["engine"].settings, app.extensions["engine"].signing_keys
    algorithms = settings.algorithms
    app.config.update(
        JWT_ALGORITHM=algorithms[0],  # for signing, which is not used; but the library also accepts it in tokens
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
        # The system's clock, not the engine's, as the library checks the other times by it.
        return claims_of(_verified(engine().settings.jwt_secrets), engine().settings, system_clock())
    except InvalidToken as error:
        raise AuthenticationFailed(str(error)) from error
    except PyJWTError as error:
        raise AuthenticationFailed(str(refused(error))) from error
    except JWTDecodeError as error:  # flask-jwt-extended's own check
        raise AuthenticationFailed("The token's claim sub is missing.") from error
    except JWTExtendedException as error:
        raise AuthenticationFailed(_NO_TOKEN) from error


def _verified(secrets: Sequence[str]) -> dict[str, Any]:
    """Verify the token's signature and times with each secret; there are two while the secret is replaced.

    Exceptions of the libraries propagate.

    Returns:
        The claims.

    Raises:
        InvalidSignatureError: no secret matches.
    """
    context().jwt_secret, *others = secrets
    try:
        # `claims_of` checks the type.
        _header, payload = cast("tuple[dict[str, Any], dict[str, Any]]", verify_jwt_in_request(verify_type=False))
    except InvalidSignatureError:
        if not others:
            raise
        return _verified(others)
    return payload
