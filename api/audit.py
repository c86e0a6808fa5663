"""GET /audit: the audit trail of a tenant."""

from typing import Any

from flask import Response
from marshmallow import RAISE, Schema, fields, validate

from api.access import performs
from api.authentication import engine, principal
from api.fields import Cursor, IdentifierField, Limit, Moment, PatternField
from api.parsing import JsonBlueprint
from api.request_audit import set_data_subjects
from api.responses import SAFE_ID, envelope, success
from app.audit.entry import OPERATOR, SYSTEM, AuditOutcome, Channel, Entry, SystemAction, timestamp
from app.audit.read_trail import EntryFilter, read_trail
from app.roles import Role
from app.security.access import Action

MAX_LIMIT = 500  # about 150 KB
_ROLES = [*(role.value for role in Role), OPERATOR, SYSTEM]
_ACTIONS = [each.value for each in (*Action, *SystemAction)]
_OUTCOMES = [outcome.value for outcome in AuditOutcome]

blueprint = JsonBlueprint("audit", __name__, description="Who did what to whose data")


class AuditQuery(Schema):
    """Selects the entries that match every given criterion."""

    student_id = IdentifierField()
    who = PatternField(
        SAFE_ID, "Must be 1 to 64 letters, digits, ., _ or -.", description="A subject, or a student's pseudonym"
    )
    role = fields.String(validate=validate.OneOf(_ROLES))
    action = fields.String(validate=validate.OneOf(_ACTIONS))
    outcome = fields.String(validate=validate.OneOf(_OUTCOMES))
    correlation_id = PatternField(SAFE_ID, "Must be 1 to 64 letters, digits, ., _ or -.")
    since = Moment(metadata={"description": "That moment or later"})
    until = Moment(metadata={"description": "Before that moment"})
    limit = Limit(default=100, most=MAX_LIMIT)
    cursor = Cursor()


class AuditEntry(Schema):
    sequence = fields.Integer(required=True, metadata={"description": "Its number in the tenant's trail, from 1"})
    at = fields.DateTime(required=True, metadata={"description": "UTC"})
    channel = fields.String(required=True, validate=validate.OneOf([channel.value for channel in Channel]))
    role = fields.String(required=True)
    who = fields.String(required=True, metadata={"description": "A subject; of a student, the pseudonym"})
    action = fields.String(required=True, metadata={"example": "mastery.query"})
    whose = fields.List(
        fields.String(metadata={"example": "9f86d081884c7d659a2feaa0"}),
        required=True,
        metadata={"description": "Pseudonyms of the first 20 students that it is about"},
    )
    students = fields.Integer(required=True, metadata={"description": "How many students it is about"})
    outcome = fields.String(required=True, validate=validate.OneOf(_OUTCOMES))
    correlation_id = fields.String(required=True, metadata={"description": "Empty if there was no request"})
    details = fields.Dict(keys=fields.String(), values=fields.Raw(), required=True)


class AuditPage(Schema):
    entries = fields.List(fields.Nested(AuditEntry), required=True, metadata={"description": "The newest first"})
    damaged = fields.Integer(
        required=True,
        metadata={"description": "Number of records in this page that were altered: `mastery audit verify` finds them"},
    )
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The cursor of older entries; null at the end. A page may have few or no entries and still have one"
        },
    )


@blueprint.get("/audit")
@performs(Action.READ_AUDIT)
@blueprint.arguments(AuditQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(AuditPage))
@blueprint.doc(operationId="readAuditTrail")
def read(query: dict[str, Any]) -> Response:
    """The tenant's audit trail"""
    tenant, trails = principal().tenant, engine().audit
    limit, cursor, student_id = query.pop("limit"), query.pop("cursor", ""), query.pop("student_id", None)
    if student_id is not None:
        set_data_subjects(student_id)
        query["whose"] = frozenset(trails.pseudonyms(tenant, student_id))
    query |= {name: timestamp(query[name]) for name in ("since", "until") if name in query}
    found = read_trail(tenant, EntryFilter(**query), trails=trails, limit=limit, cursor=cursor)
    return success({"entries": list(map(_shown, found.entries)), "damaged": found.damaged, "next": found.cursor})


def _shown(entry: Entry) -> dict[str, Any]:
    shown = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "whose_others"}
    return shown | {"students": entry.students}
