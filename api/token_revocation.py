"""POST /auth/revoke: revokes tokens. The identity provider issues them."""

import math
from datetime import datetime, timedelta
from typing import Any

from flask import Response
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.access import also_performs, performs
from api.authentication import claims, engine, principal
from api.examples import REVOKE
from api.fields import IdentifierField
from api.parsing import JsonBlueprint
from api.request_audit import details, set_data_subjects
from api.responses import envelope, success
from app.errors import InvalidInput
from app.security.access import Action
from app.security.revocations import hashed, longest_validity

blueprint: Blueprint = JsonBlueprint("auth", __name__, url_prefix="/auth", description="Revocation of tokens")

# The control characters of ASCII and Latin-1.
_NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001f\u007f-\u009f]+$"


class RevocationRequest(Schema):
    jti = fields.String(
        validate=[
            validate.Length(1, 255),
            validate.Regexp(_NO_CONTROL_CHARACTERS.replace("$", r"\Z"), error="Must have no control characters."),
        ],
        metadata={
            "pattern": _NO_CONTROL_CHARACTERS,
            "description": "Admins: the token with this id",
            "example": "5d1c6c9e-5b43-4a35-9d5b-3f1a9c7f4a10",
        },
    )
    subject = IdentifierField()
    expires_at = fields.AwareDateTime(
        format="iso", metadata={"description": "With `jti`: when that token expires, if known; the entry is then deleted"}
    )

    @validates_schema
    def one_target(self, data: dict[str, Any], **_: Any) -> None:
        if "jti" in data and "subject" in data:
            raise ValidationError("Must not be given together with jti.", "subject")
        if "expires_at" in data and "jti" not in data:
            raise ValidationError("Must be given together with jti.", "expires_at")


class Revocation(Schema):
    revoked = fields.String(required=True, validate=validate.OneOf(["token", "subject"]))
    until = fields.DateTime(
        required=True, metadata={"description": "The revocation is kept at least until then, when the tokens have expired"}
    )


RevocationAnswer = envelope(Revocation)


@blueprint.post("/revoke")
@performs(Action.REVOKE_OWN)
@blueprint.arguments(RevocationRequest(), examples=REVOKE)
@blueprint.response(200, RevocationAnswer)
@blueprint.doc(operationId="revokeTokens")
def revoke(body: dict[str, Any]) -> Response:
    """Revoke your own token (`{}`); admins: any one, or all that a subject has"""
    now, caller, revocations = engine().clock(), principal(), engine().revocations
    if "subject" in body:
        set_data_subjects(body["subject"])  # before the check, so that a denial is audited too
    if body:
        also_performs(Action.REVOKE_ANY)
    if "subject" in body:
        seconds = longest_validity(engine().settings)
        latest = now.timestamp() + engine().settings.jwt_leeway_seconds  # the latest iat of a token that is valid now
        revocations.revoke_subject(caller.tenant, body["subject"], latest, seconds)
        return _revoked("subject", now, seconds)
    seconds = _validity(body.get("expires_at"), now) if body else _rest(claims().exp, now)
    jti = body.get("jti", claims().jti)
    details(token=hashed(jti))
    revocations.revoke_token(caller.tenant, jti, seconds)
    return _revoked("token", now, seconds)


def _validity(expires_at: datetime | None, now: datetime) -> int:
    """The maximum remaining validity in seconds of another's token."""
    settings = engine().settings
    if expires_at is None:
        return longest_validity(settings)
    if not now < expires_at <= now + timedelta(seconds=settings.jwt_max_seconds):
        raise InvalidInput("expires_at", f"must be in the future, at most {settings.jwt_max_seconds} seconds ahead")
    return _rest(expires_at.timestamp(), now)


def _rest(expires_at: float, now: datetime) -> int:
    """The remaining validity in seconds of a token that expires at ``expires_at``, including the leeway."""
    return max(1, math.ceil(expires_at + engine().settings.jwt_leeway_seconds - now.timestamp()))


def _revoked(what: str, now: datetime, seconds: int) -> Response:
    return success({"revoked": what, "until": now + timedelta(seconds=seconds)})
