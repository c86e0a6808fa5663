"""Who is calling: a JWT in the Authorization header becomes a Principal. flask-jwt-extended checks signature and times."""

from typing import cast

import msgspec
from flask import Flask, current_app, g, request
from flask_jwt_extended import verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from app.bootstrap import Engine
from app.errors import EngineError
from app.identifiers import Identifier
from app.security.access import Principal, Role


class AuthenticationFailed(EngineError):
    """The request has no valid token; the message says what is wrong with it."""


class _Claims(msgspec.Struct):
    sub: Identifier
    role: Role
    tenant: Identifier
    jti: str
    exp: int
    cohorts: list[Identifier] = []


def register_authentication(app: Flask) -> None:
    """Find out who calls, before anything else is done; whether that is needed is decided by ``api/access.py``."""

    @app.before_request
    def identify() -> None:
        if request.method == "OPTIONS":
            return  # a browser asks without a token whether it may ask; Flask answers
        try:
            g.principal = _principal()
        except AuthenticationFailed as error:
            g.authentication_error = error


def caller() -> Principal | None:
    """Whoever has sent a valid token with this request, or None."""
    return cast("Principal | None", g.get("principal"))


def require_token() -> Principal:
    """The caller of this request. Raises AuthenticationFailed without a valid token."""
    if "authentication_error" in g:
        raise cast("AuthenticationFailed", g.authentication_error)
    return principal()


def principal() -> Principal:
    """The caller of this request."""
    return cast("Principal", g.principal)


def engine() -> Engine:
    """The engine that this application serves."""
    return cast("Engine", current_app.extensions["engine"])


def _principal() -> Principal:
    try:
        verified = verify_jwt_in_request()
    except ExpiredSignatureError as error:
        raise AuthenticationFailed("The token has expired.") from error
    except (JWTExtendedException, PyJWTError) as error:
        raise AuthenticationFailed("A valid token is needed: Authorization: Bearer <JWT>.") from error
    _header, payload = cast("tuple[dict[str, object], dict[str, object]]", verified)
    try:
        claims = msgspec.convert(payload, _Claims)
    except msgspec.ValidationError as error:
        raise AuthenticationFailed(f"The token's claims are not valid: {error}.") from error
    return Principal(claims.sub, claims.role, claims.tenant, frozenset(claims.cohorts))
