"""GET /student/{id}/export: what is stored of a student."""

from flask import Response
from marshmallow import Schema, fields

from api.access import performs, require_student
from api.authentication import engine, principal
from api.examples import STUDENT
from api.fields import OPENAPI_IDENTIFIER
from api.media_types import ZIP, accepted
from api.parsing import JsonBlueprint
from api.responses import envelope, streamed_success
from app.privacy.export_json import json_parts
from app.privacy.export_student import export_student
from app.privacy.export_zip import zip_parts
from app.security.access import Action

blueprint = JsonBlueprint("export", __name__, url_prefix="/student", description="What is stored of a student")
_PATH = {"name": "student_id", "in": "path", "schema": {"type": "string", "pattern": OPENAPI_IDENTIFIER}, "example": STUDENT}
_ARCHIVE = {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}


class ExportedKind(Schema):
    description = fields.String(required=True, metadata={"description": "What a row is"})
    columns = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, metadata={"description": "The meaning of each column"}
    )
    rows = fields.List(
        fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True)),
        required=True,
        metadata={"description": "Text, numbers, booleans, or null by column"},
    )


class ExportedStudent(Schema):
    exported_at = fields.DateTime(required=True, metadata={"description": "UTC"})
    kinds = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ExportedKind),
        required=True,
        metadata={"description": "The data by kind"},
    )
    student_id = fields.String(required=True)
    sha256 = fields.String(
        required=True, metadata={"description": "SHA-256 of the other fields as JSON sorted by name, without spaces, in UTF-8"}
    )


@blueprint.get("/<identifier:student_id>/export", parameters=[_PATH])
@performs(Action.EXPORT_STUDENT)
@blueprint.response(200, envelope(ExportedStudent), description="By `Accept`: JSON, or a ZIP archive of CSV files")
@blueprint.alt_response(
    404, response="NOT_FOUND", description="Nothing that an export has is stored, or the path has no valid id"
)
@blueprint.doc(operationId="exportStudent", responses={200: _ARCHIVE})
def export(student_id: str) -> Response:
    """What is stored of a student; not audit entries, receipts of erasures and dead letters"""
    require_student(student_id)
    served = engine()
    made = export_student(principal().tenant, student_id, stores=served.exported_data, now=served.clock())
    if accepted(ZIP) == ZIP:
        headers = {"Content-Disposition": f'attachment; filename="{student_id}.zip"'}
        return Response(zip_parts(made), 200, headers, mimetype=ZIP)
    return streamed_success(json_parts(made))
