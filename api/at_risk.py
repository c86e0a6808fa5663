"""GET /predictions/at-risk: whom of a cohort to help first."""

from typing import Any

import msgspec
from flask import Response
from marshmallow import RAISE, Schema, fields

from api.access import performs
from api.authentication import engine, principal
from api.examples import COHORT
from api.fields import IDENTIFIER_ERROR, OPENAPI_IDENTIFIER, Fraction, Limit, PatternField, QueryFraction
from api.parsing import JsonBlueprint
from api.predictions import ReasonAnswer
from api.request_audit import details, set_data_subjects, signed_actor
from api.responses import envelope, success
from api.task_answers import PREFER, TASK_HEADERS, TaskAnswer, answer_of
from app.audit.entry import timestamp
from app.clock import moment_of
from app.errors import DependencyUnavailable
from app.predictions.at_risk_page import Page, Position, Selection, at_risk_page
from app.predictions.risk import AT_RISK_BELOW, RISK_DAYS
from app.security.access import Action, require_cohort_access
from tasks.predictions import list_at_risk

MAX_LIMIT = 100  # students of a page: their facts take tens of milliseconds
_POSITION = "^[1-9][0-9]{0,17}-[0-9]{1,7}$"  # a moment, and a number of students

blueprint = JsonBlueprint("at-risk", __name__, url_prefix="/predictions", description="Whom to help first")


class AtRiskQuery(Schema):
    cohort_id = PatternField(OPENAPI_IDENTIFIER, IDENTIFIER_ERROR, description="Whose students", example=COHORT, required=True)
    limit = Limit(default=20, most=MAX_LIMIT)
    at_least = QueryFraction(
        load_default=0.0, metadata={"description": "Only students with at least this probability when the list was computed"}
    )
    cursor = PatternField(_POSITION, "Must be what was given as next.", description="`next` of the answer before")


class StudentAtRiskAnswer(Schema):
    student_id = fields.String(required=True)
    probability = Fraction(
        required=True,
        metadata={
            "description": f"That mastery is below {AT_RISK_BELOW} in {RISK_DAYS} days, or there was no activity until then"
        },
    )
    current_score = Fraction(required=True, metadata={"description": "Mastery"})
    inactive_days = fields.Integer(
        required=True, metadata={"description": "Since the latest activity; without any, since the latest evidence"}
    )
    reasons = fields.List(
        fields.Nested(ReasonAnswer), required=True, metadata={"description": "What stands out; empty if nothing does"}
    )


class AtRiskList(Schema):
    computed_at = fields.DateTime(required=True, metadata={"description": "When the order was computed, UTC"})
    model = fields.String(required=True, metadata={"description": "`learned`, or `base`: a table", "example": "base"})
    model_version = fields.String(required=True)
    total = fields.Integer(required=True, metadata={"description": "How many students are in the list, of any probability"})
    students = fields.List(
        fields.Nested(StudentAtRiskAnswer),
        required=True,
        metadata={
            "description": "As they are now; in the order of the probabilities when the list was computed, the highest first. "
            "Who left the cohort or withdrew consent since is left out"
        },
    )


class AtRiskAnswer(AtRiskList):
    cohort_id = fields.String(required=True)
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The cursor of the next page; null at the end"}
    )


@blueprint.get("/at-risk", parameters=[PREFER])
@performs(Action.LIST_AT_RISK)
@blueprint.arguments(AtRiskQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(AtRiskAnswer))
@blueprint.alt_response(
    202,
    schema=TaskAnswer,
    description="A task computes the list: poll Location, and when the task has succeeded, repeat this request",
    headers=TASK_HEADERS,
)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="listStudentsAtRisk")
def read(query: dict[str, Any]) -> Response:
    """The students of a cohort by the probability that they are low or inactive in two weeks"""
    cohort = query["cohort_id"]
    details(cohort_id=cohort)
    require_cohort_access(principal(), Action.LIST_AT_RISK, cohort)
    position = Position.of(query["cursor"]) if "cursor" in query else None
    wanted = Selection(query["limit"], query["at_least"], position)
    page = _page(cohort, wanted)
    if page is None:
        answer = answer_of(list_at_risk, principal().tenant, cohort, signed_actor(cohort))
        if answer.status_code != 200:
            return answer
        page = _page(cohort, wanted)
    if page is None:  # midnight, or a promotion of another model, came between
        raise DependencyUnavailable("the list of students at risk", "was replaced")
    set_data_subjects(*(each.student_id for each in page.students))
    return success({"cohort_id": cohort, **shown_list(page), "next": str(page.following) if page.following else None})


def _page(cohort: str, wanted: Selection) -> Page | None:
    served = engine()
    return at_risk_page(principal().tenant, cohort, wanted, using=served.risk_listing, now=served.clock())


def shown_list(page: Page) -> dict[str, Any]:
    """A page of the list as answers have it, without a cursor."""
    return {
        "computed_at": timestamp(moment_of(page.about.computed_at)),
        "model": page.about.model,
        "model_version": page.about.model_version,
        "total": page.total,
        "students": msgspec.to_builtins(page.students),
    }
