"""GET and PUT /student/{id}/consent: what a student allows their data to be used for."""

from datetime import UTC, datetime
from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.access import performs, require_student
from api.authentication import engine, principal
from api.examples import CONSENT, STUDENT
from api.fields import OPENAPI_IDENTIFIER, Flag
from api.parsing import JsonBlueprint
from api.request_audit import actor, details
from api.responses import envelope, success
from app.audit.entry import timestamp
from app.consent.change_consent import change_consent
from app.consent.consent import Author, Consent, Decision
from app.purposes import Purpose
from app.roles import Role
from app.security.access import Action

blueprint = JsonBlueprint("consent", __name__, url_prefix="/student", description="What students' data may be used for")
_PATH = {"name": "student_id", "in": "path", "schema": {"type": "string", "pattern": OPENAPI_IDENTIFIER}, "example": STUDENT}
_WHO = {"description": "As in the audit trail: of a student, the pseudonym; of an admin, the subject"}


class ConsentChange(Schema):
    """Whether the data may be used, by purpose: at least one. Purposes that are left out stay as they are."""

    predictions = Flag()
    recommendations = Flag()
    cohort_statistics = Flag()

    @validates_schema
    def _at_least_one(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError(f"Give true or false for at least one of {', '.join(Purpose)}.")


class PurposeState(Schema):
    given = fields.Boolean(required=True, metadata={"description": "Whether the data may be used for this purpose"})
    at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "When this was decided, UTC; null without a decision"}
    )
    role = fields.String(required=True, allow_none=True, metadata={"description": "Of whoever decided"})
    who = fields.String(required=True, allow_none=True, metadata=_WHO)


class PurposeStates(Schema):
    predictions = fields.Nested(PurposeState, required=True)
    recommendations = fields.Nested(PurposeState, required=True)
    cohort_statistics = fields.Nested(PurposeState, required=True)


class ConsentState(Schema):
    student_id = fields.String(required=True)
    purposes = fields.Nested(PurposeStates, required=True)


class ConsentDecision(Schema):
    purpose = fields.String(required=True, validate=validate.OneOf(list(Purpose)))
    given = fields.Boolean(required=True)
    at = fields.DateTime(required=True)
    role = fields.String(required=True)
    who = fields.String(required=True, metadata=_WHO)


class ConsentRecord(ConsentState):
    history = fields.List(
        fields.Nested(ConsentDecision), required=True, metadata={"description": "The decisions, the newest first"}
    )


@blueprint.get("/<identifier:student_id>/consent", parameters=[_PATH])
@performs(Action.READ_CONSENT)
@blueprint.response(200, envelope(ConsentRecord))
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="getConsent")
def read(student_id: str) -> Response:
    """What a student's data may be used for, who decided it, and when"""
    consent = _of_known(student_id)
    known = [each for each in reversed(consent.history) if each.purpose in {*Purpose}]
    history = [{"purpose": each.purpose, **_decided(each)} for each in known]
    return success({**_state(student_id, consent), "history": history})


@blueprint.put("/<identifier:student_id>/consent", parameters=[_PATH])
@performs(Action.CHANGE_CONSENT)
@blueprint.arguments(ConsentChange(), examples=CONSENT, description="At least one purpose; the others stay as they are")
@blueprint.response(200, envelope(ConsentState))
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="changeConsent")
def change(body: dict[str, bool], student_id: str) -> Response:
    """Give or withdraw consent by purpose; repeating it changes nothing"""
    _of_known(student_id)
    details(**body)
    caller, served = principal(), engine()
    consent = change_consent(
        caller.tenant,
        student_id,
        {Purpose(name): given for name, given in body.items()},
        Author(*actor(caller)),
        consents=served.consents,
        now=served.clock(),
    )
    if not consent.allows(Purpose.PREDICTIONS):  # if this fails: nobody gets these, and they expire or are dropped unscored
        served.forecasts.erase(caller.tenant, [student_id])
        served.forecast_records.erase(caller.tenant, [student_id])
        served.risk_lists.erase(caller.tenant, student_id)
    return success(_state(student_id, consent))


def _of_known(student_id: str) -> Consent:
    """What a student has decided, if the caller may know it, and the student is known.

    For an admin, that is a student with evidence or a decision. A student's own token says that the student exists, and consent
    may come before the first evidence. Raises AccessDenied and NotFound.

    Returns:
        The student's consent.
    """
    require_student(student_id)
    caller, served = principal(), engine()
    consent = served.consents.read(caller.tenant, student_id)
    if caller.role is Role.ADMIN and not consent.history:
        served.mastery.facts.require_student(caller.tenant, student_id)
    return consent


def _state(student_id: str, consent: Consent) -> dict[str, Any]:
    undecided = {"at": None, "role": None, "who": None}
    purposes = {
        purpose.value: {"given": consent.allows(purpose), **undecided} if latest is None else _decided(latest)
        for purpose in Purpose
        for latest in (consent.latest(purpose),)
    }
    return {"student_id": student_id, "purposes": purposes}


def _decided(decision: Decision) -> dict[str, Any]:
    at = timestamp(datetime.fromtimestamp(decision.at / 1000, UTC))
    return {"given": decision.given, "at": at, "role": decision.role, "who": decision.who}
