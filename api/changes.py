"""POST /analytics/changes: why a student's mastery has changed."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from api.authentication import engine, principal
from api.examples import CHANGES, EXAMPLE_SINCE
from api.fields import Day, Fraction
from api.parsing import JsonBlueprint, StudentBody
from api.responses import envelope, success
from api.student_record import student_record
from api.use_cases import use_case
from app.analytics.changes import Cause
from app.analytics.explain_changes import explain_changes
from app.mastery.components import CONSISTENCY_DAYS
from app.security.access import Action

blueprint = JsonBlueprint("changes", __name__, url_prefix="/analytics", description="Why a student's mastery has changed")

_DIFFERENCE = validate.Range(-1, 1)


class ChangesBody(StudentBody):
    since = Day(
        required=True, metadata={"description": "The end of this day is compared with now; retained", "example": EXAMPLE_SINCE}
    )


class PartAnswer(Schema):
    cause = fields.String(required=True, validate=validate.OneOf(list(Cause)))
    amount = fields.Float(required=True, validate=_DIFFERENCE, metadata={"description": "What it has added to mastery"})
    text = fields.String(required=True, metadata={"description": "What happened"})


class ComponentChangeAnswer(Schema):
    weight = Fraction(required=True)
    then = Fraction(required=True, allow_none=True, metadata={"description": "The component then; null: no evidence"})
    now = Fraction(required=True, allow_none=True)
    change = fields.Float(required=True, validate=_DIFFERENCE, metadata={"description": "The sum of its parts"})
    parts = fields.List(
        fields.Nested(PartAnswer), required=True, metadata={"description": "What happened; empty if nothing did"}
    )


class ComponentChangesAnswer(Schema):
    completion = fields.Nested(ComponentChangeAnswer, required=True)
    quiz = fields.Nested(ComponentChangeAnswer, required=True)
    quality = fields.Nested(ComponentChangeAnswer, required=True)
    consistency = fields.Nested(ComponentChangeAnswer, required=True)


class ExercisesAnswer(Schema):
    completed = fields.Integer(required=True)
    total = fields.Integer(required=True)
    date = fields.Date(required=True, metadata={"description": "The day of the latest completion"})


class NewEvidenceAnswer(Schema):
    questions = fields.Integer(required=True)
    correct_answers = fields.Integer(required=True)
    submissions = fields.Integer(required=True)
    mean_quality = Fraction(required=True, allow_none=True, metadata={"description": "Of these; null without any"})
    exercises_then = fields.Nested(
        ExercisesAnswer, required=True, allow_none=True, metadata={"description": "null: no completion yet"}
    )
    exercises_now = fields.Nested(ExercisesAnswer, required=True, allow_none=True)
    active_days_came = fields.Integer(
        required=True,
        metadata={"description": f"Of the {CONSISTENCY_DAYS} days up to `date`, and not of those up to `since`"},
    )
    active_days_left = fields.Integer(required=True, metadata={"description": "The reverse"})


class ChangesAnswer(Schema):
    student_id = fields.String(required=True)
    since = fields.Date(required=True)
    known_since = fields.Date(
        required=True,
        metadata={"description": "The first day with retained evidence; if it is after `since`, `score_then` is 0"},
    )
    date = fields.Date(required=True, metadata={"description": "The day of the answer, UTC"})
    score_then = Fraction(required=True, metadata={"description": "At the end of `since`"})
    score_now = Fraction(required=True)
    difference = fields.Float(
        required=True,
        validate=_DIFFERENCE,
        metadata={"description": "score_now − score_then: the sum of the changes of the components"},
    )
    components = fields.Nested(ComponentChangesAnswer, required=True)
    new_evidence = fields.Nested(NewEvidenceAnswer, required=True)


_DESCRIPTION = """Computed from the student's facts.

- 403: the caller may not see the student; it does not tell whether the student exists.
- 404: no retained evidence of the student.
- 422: `since` is no day, in the future or not retained, or another field is invalid."""


@blueprint.post("/changes")
@use_case(blueprint, Action.EXPLAIN_CHANGES, ChangesBody(), examples=CHANGES)
@blueprint.response(200, envelope(ChangesAnswer))
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="explainChanges", description=_DESCRIPTION)
def explain(body: dict[str, Any]) -> Response:
    """Why a student's mastery differs from that of an earlier day, in parts that add up"""
    student_id = body["student_id"]
    record = student_record(student_id)
    served = engine()
    return success(
        explain_changes(
            principal().tenant,
            student_id,
            stores=served.mastery,
            now=served.clock(),
            since=body["since"],
            fields=record,
        )
    )
