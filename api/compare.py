"""POST /analytics/compare: how a student compares with a cohort."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from api.authentication import engine, principal
from api.examples import COHORT, COMPARE
from api.fields import IDENTIFIER_ERROR, OPENAPI_IDENTIFIER, Fraction, PatternField
from api.parsing import JsonBlueprint, StudentBody
from api.request_audit import details
from api.responses import envelope, success
from api.student_record import student_record
from api.use_cases import use_case
from app.analytics.compare_student import compare_live, compare_with_published, student_to_compare
from app.analytics.comparison import Extent
from app.consent.consent import FEWEST_IN_STATISTICS
from app.roles import Role
from app.security.access import Action, require_statistics_access

blueprint = JsonBlueprint("compare", __name__, url_prefix="/analytics", description="How a student compares with a cohort")

_NONE = f"null if fewer than {FEWEST_IN_STATISTICS} students have evidence in it, or if none are published"


class ComparisonBody(StudentBody):
    cohort_id = PatternField(
        OPENAPI_IDENTIFIER,
        IDENTIFIER_ERROR,
        description="The cohort to compare with; the student's own unless given",
        example=COHORT,
    )
    metric = fields.String(
        load_default=Extent.OVERALL.value,
        validate=validate.OneOf(list(Extent)),
        metadata={"description": "Mastery alone, or its components too"},
    )


class DistributionAnswer(Schema):
    students = fields.Integer(required=True, metadata={"description": "Who allow statistics and have evidence in this metric"})
    mean = Fraction(required=True)
    median = Fraction(required=True)
    lower_quartile = Fraction(required=True)
    upper_quartile = Fraction(required=True)
    standard_deviation = Fraction(required=True, metadata={"description": "Of the population"})


class MetricComparisonAnswer(Schema):
    score = Fraction(required=True, allow_none=True, metadata={"description": "The student's; null: no evidence"})
    statistics = fields.Nested(
        DistributionAnswer, required=True, allow_none=True, metadata={"description": f"The cohort's; {_NONE}"}
    )
    percentile = fields.Float(
        required=True,
        allow_none=True,
        validate=validate.Range(0, 100),
        metadata={"description": "Share of students below the score, and half of those with the same: 0 to 100, 100 is best"},
    )
    rank = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "1 is best; equals share the better rank. From outside or among published scores up to `total` + 1"
        },
    )
    total = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Students with whom the score is compared; null without a place, see `statistics.students`"},
    )


class ComparedMetrics(Schema):
    mastery = fields.Nested(MetricComparisonAnswer, required=True)
    completion = fields.Nested(MetricComparisonAnswer)
    quiz = fields.Nested(MetricComparisonAnswer)
    quality = fields.Nested(MetricComparisonAnswer)
    consistency = fields.Nested(MetricComparisonAnswer)


class ComparisonData(Schema):
    student_id = fields.String(required=True)
    student_cohort_id = fields.String(
        required=True, allow_none=True, metadata={"description": "The student's cohort; null: the events name none"}
    )
    cohort_id = fields.String(required=True)
    is_member = fields.Boolean(required=True, metadata={"description": "The student is in this cohort"})
    date = fields.Date(required=True, metadata={"description": "The day of the cohort's scores, UTC"})
    published = fields.Boolean(
        required=True, metadata={"description": "The statistics are those published for students; else they are of now"}
    )
    metrics = fields.Nested(ComparedMetrics, required=True, metadata={"description": "Components with `by_component`"})
    note = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What to know about this answer, always if `published`; else null"},
    )


ComparisonAnswer = envelope(ComparisonData)

_DESCRIPTION = f"""Teachers and admins get statistics of now; students get rounded ones, published for their own cohort.

- 403 FORBIDDEN: the caller may not see the student, or not this cohort.
- 403 CONSENT_WITHDRAWN: the student does not allow `cohort_statistics`.
- 404: no evidence of the student; no cohort, neither in the request nor in the student's events; no students with evidence in
  the cohort; for students, no statistics are published at present.
- 422: an invalid field; for teachers and admins, fewer than {FEWEST_IN_STATISTICS} students of the cohort can be compared."""


@blueprint.post("/compare")
@use_case(blueprint, Action.COMPARE_STUDENT, ComparisonBody(), examples=COMPARE)
@blueprint.response(200, ComparisonAnswer)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="compareStudent", description=_DESCRIPTION)
def compare(body: dict[str, Any]) -> Response:
    """A student's place in a cohort, and the cohort's statistics"""
    student_id, wanted, extent = body["student_id"], body.get("cohort_id"), Extent(body["metric"])
    if wanted is not None:
        details(cohort_id=wanted)
    record = student_record(student_id)
    who, served = principal(), engine()
    stores, now = served.mastery, served.clock()
    student = student_to_compare(who.tenant, student_id, stores=stores, consents=served.consents, now=now, fields=record)
    cohort = student.cohort_to_compare(wanted)
    details(cohort_id=cohort)
    require_statistics_access(who, Action.COMPARE_STUDENT, cohort, student.cohort_id)
    if who.role is Role.STUDENT:
        return success(compare_with_published(who.tenant, student, cohort, extent, published=served.published, now=now))
    return success(compare_live(who.tenant, student, cohort, extent, stores=stores, now=now))
