"""The routes under /student/{student_id}: erasure."""

from typing import Any

from flask import Response, url_for
from marshmallow import Schema, fields, validate

from api.access import performs, require_student
from api.authentication import engine, principal
from api.examples import ERASED_STUDENT
from api.fields import OPENAPI_IDENTIFIER
from api.parsing import JsonBlueprint
from api.request_audit import details
from api.responses import envelope, success
from app.privacy.erase_students import request_erasures
from app.privacy.erasure import Erasure, ErasureStatus, receipt_hash
from app.pseudonyms import WHOLE_TENANT
from app.security.access import Action
from tasks.privacy import start

POLL_AFTER_SECONDS = "1"

blueprint = JsonBlueprint("students", __name__, url_prefix="/student", description="A student's data")
_PATH = {
    "name": "student_id",
    "in": "path",
    "schema": {"type": "string", "pattern": OPENAPI_IDENTIFIER},
    "example": ERASED_STUDENT,
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "While it runs: seconds to wait before asking again"}}
_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where to ask for its state and receipt"}}


class AcceptedErasure(Schema):
    erasure_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf([status.value for status in ErasureStatus]))


class ErasureState(AcceptedErasure):
    pseudonym = fields.String(
        required=True, metadata={"description": "Of the student, as in the audit trail; `*`: the whole tenant was erased"}
    )
    requested_at = fields.DateTime(required=True, metadata={"description": "UTC"})
    finished_at = fields.DateTime(required=True, allow_none=True, metadata={"description": "UTC; null while it runs"})
    erased = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many things were erased, by kind of data", "example": {"facts": 1}},
    )
    sha256 = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Null while it runs; then SHA-256 of the other fields but status, as JSON sorted by name, without "
            "spaces. The audit trail has it too"
        },
    )


@blueprint.delete("/<identifier:student_id>", parameters=[_PATH])
@performs(Action.ERASE_STUDENT)
@blueprint.response(202, envelope(AcceptedErasure), description="A task erases: ask at Location", headers=_LOCATION | _RETRY)
@blueprint.alt_response(404, response="NOT_FOUND", description="The path has no valid id")
@blueprint.doc(operationId="eraseStudent")
def erase(student_id: str) -> Response:
    """Erase a student; events up to now are refused from now on"""
    require_student(student_id)
    tenant, served = principal().tenant, engine()
    students = {served.audit.pseudonym(tenant, student_id): student_id}
    stores, announce = served.mastery, served.outbox.announce_erased
    (accepted,) = request_erasures(tenant, students, facts=stores.facts, erasures=served.erasures, announce=announce)
    details(erasure_id=accepted.erasure_id)
    start(tenant)
    headers = {"Location": url_for("students.erasure", student_id=student_id), "Retry-After": POLL_AFTER_SECONDS}
    return success({"erasure_id": accepted.erasure_id, "status": ErasureStatus.RUNNING}, 202, headers)


@blueprint.get("/<identifier:student_id>/erasure", parameters=[_PATH])
@performs(Action.READ_ERASURE)
@blueprint.response(200, envelope(ErasureState), headers=_RETRY)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="getErasure")
def erasure(student_id: str) -> Response:
    """The state of the latest erasure of a student, or of all of the tenant, and its receipt"""
    require_student(student_id)
    tenant, served = principal().tenant, engine()
    found = served.erasures.read(tenant, [*served.audit.pseudonyms(tenant, student_id), WHOLE_TENANT])
    return success(_shown(found), headers={} if found.finished_at else {"Retry-After": POLL_AFTER_SECONDS})


def _shown(found: Erasure) -> dict[str, Any]:
    return {
        "erasure_id": found.erasure_id,
        "status": found.status,
        "pseudonym": found.pseudonym,
        "requested_at": found.requested_at,
        "finished_at": found.finished_at,
        "erased": found.erased,
        "sha256": receipt_hash(found) if found.finished_at else None,
    }
