"""Who did what to whose data? GET /audit."""

import re
from datetime import UTC, datetime
from typing import Any

from flask import Response
from marshmallow import RAISE, Schema, fields, validate

from api.access import performs
from api.authentication import engine, principal
from api.parsing import IdentifierField, JsonBlueprint
from api.request_audit import set_data_subjects
from api.responses import SAFE_ID, envelope, success
from app.audit.entry import OPERATOR, SYSTEM, AuditOutcome, Channel, Entry, SystemAction, timestamp
from app.audit.read_trail import EntryFilter, read_trail
from app.roles import Role
from app.security.access import Action

MAX_LIMIT = 500  # some 150 KB
_ROLES = [*(role.value for role in Role), OPERATOR, SYSTEM]
_ACTIONS = [each.value for each in (*Action, *SystemAction)]
_OUTCOMES = [outcome.value for outcome in AuditOutcome]

# A stream's id; every one of this form is one that Redis takes for the end of a range.
_CURSOR = "^[1-9][0-9]{0,18}-[0-9]{1,19}$"
# RFC 3339, section 5.6: ISO 8601 knows many more forms.
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")

blueprint = JsonBlueprint("audit", __name__, description="Who did what to whose data")


class Moment(fields.AwareDateTime):
    """A moment as in 2026-10-28T12:00:00Z (RFC 3339); in a URL, the + of an offset is written %2B. Becomes a timestamp."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if not _DATE_TIME.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        moment: datetime = super()._deserialize(value, *args, **options)
        try:
            return timestamp(moment)
        except OverflowError:  # at the ends of the calendar an offset does not matter
            return timestamp(moment.replace(tzinfo=UTC))


class Limit(fields.Integer):
    """A number of entries in plain digits."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if not re.fullmatch("[0-9]{1,9}", value):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **options)


def _pattern(pattern: str, error: str, **metadata: Any) -> fields.String:
    return fields.String(
        validate=validate.Regexp(pattern.replace("$", r"\Z"), error=error), metadata={"pattern": pattern, **metadata}
    )


class AuditQuery(Schema):
    """Which entries: those to which all that is given applies."""

    student_id = IdentifierField()
    who = _pattern(SAFE_ID, "Must be 1 to 64 letters, digits, ., _ or -.", description="A subject, or a student's pseudonym")
    role = fields.String(validate=validate.OneOf(_ROLES))
    action = fields.String(validate=validate.OneOf(_ACTIONS))
    outcome = fields.String(validate=validate.OneOf(_OUTCOMES))
    correlation_id = _pattern(SAFE_ID, "Must be 1 to 64 letters, digits, ., _ or -.")
    since = Moment(metadata={"description": "That moment or later"})
    until = Moment(metadata={"description": "Before that moment"})
    limit = Limit(load_default=100, validate=validate.Range(1, MAX_LIMIT))
    cursor = _pattern(_CURSOR, "Must be what was given as next.", description="`next` of the answer before: what is older")


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
        metadata={"description": "Pseudonyms of the students that it is about, the first 20"},
    )
    students = fields.Integer(required=True, metadata={"description": "How many students it is about"})
    outcome = fields.String(required=True, validate=validate.OneOf(_OUTCOMES))
    correlation_id = fields.String(required=True, metadata={"description": "Empty for what no request asked for"})
    details = fields.Dict(keys=fields.String(), values=fields.Raw(), required=True)


class AuditPage(Schema):
    entries = fields.List(fields.Nested(AuditEntry), required=True, metadata={"description": "The newest first"})
    damaged = fields.Integer(
        required=True,
        metadata={
            "description": "Records among them that are not as the engine wrote them: `mastery audit verify` finds which"
        },
    )
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The cursor of what is older, which may be there even after few entries or none; null at the end"
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
        query["whose"] = trails.pseudonyms(tenant, student_id)
    found = read_trail(tenant, EntryFilter(**query), trails=trails, limit=limit, cursor=cursor)
    return success({"entries": list(map(_shown, found.entries)), "damaged": found.damaged, "next": found.cursor})


def _shown(entry: Entry) -> dict[str, Any]:
    shown = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "whose_others"}
    return shown | {"students": entry.students}
