"""POST /mastery/query and /mastery/calculate: a student's mastery."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate
from msgspec import to_builtins

from api.access import require_student
from api.authentication import engine, principal
from api.examples import CALCULATE, QUERY
from api.fields import Day, Flag, Fraction
from api.parsing import JsonBlueprint, StudentBody
from api.request_audit import signed_actor
from api.responses import envelope, success
from api.student_record import student_record
from api.task_answers import PREFER, TASK_HEADERS, TaskAnswer, answer_of
from api.use_cases import use_case
from app.mastery.formula import DEFAULT_WEIGHTS, FORMULA, Components, Level, Weights, check_weights
from app.mastery.query_mastery import calculate, query_mastery
from app.mastery.trend import Trend
from app.security.access import Action
from tasks.mastery import calculate as calculate_task

blueprint = JsonBlueprint("mastery", __name__, url_prefix="/mastery", description="Where a student stands")


_COMPONENTS = {"components", "breakdown"}


class ComponentScores(Schema):
    """Each component, 0..1; null or absent: no evidence."""

    completion = Fraction(allow_none=True, metadata={"example": 0.8})
    quiz = Fraction(allow_none=True, metadata={"example": 0.75})
    quality = Fraction(allow_none=True, metadata={"example": 0.8})
    consistency = Fraction(allow_none=True, metadata={"example": 0.5})


class ComponentWeights(Schema):
    """Weights that replace the default ones; all four sum to 1 ± 0.001."""

    completion = Fraction(metadata={"example": DEFAULT_WEIGHTS.completion})
    quiz = Fraction(metadata={"example": DEFAULT_WEIGHTS.quiz})
    quality = Fraction(metadata={"example": DEFAULT_WEIGHTS.quality})
    consistency = Fraction(metadata={"example": DEFAULT_WEIGHTS.consistency})


class MasteryQuery(StudentBody):
    date = Day(metadata={"description": "An earlier day that is retained; today unless given"})
    include_components = Flag(load_default=True, metadata={"description": "false leaves out components and breakdown"})


class MasteryCalculation(StudentBody):
    components = fields.Nested(
        ComponentScores, metadata={"description": "Computed from these and not stored; else from the facts"}
    )
    weights = fields.Nested(ComponentWeights)


class ContributionAnswer(Schema):
    score = Fraction(required=True, allow_none=True)
    weight = Fraction(required=True)
    contribution = Fraction(required=True, metadata={"description": "weight · score"})


class BreakdownAnswer(Schema):
    completion = fields.Nested(ContributionAnswer, required=True)
    quiz = fields.Nested(ContributionAnswer, required=True)
    quality = fields.Nested(ContributionAnswer, required=True)
    consistency = fields.Nested(ContributionAnswer, required=True)


class Calculation(Schema):
    student_id = fields.String(required=True)
    score = Fraction(required=True, metadata={"description": FORMULA})
    level = fields.String(required=True, validate=validate.OneOf([level.value for level in Level]))
    coverage = Fraction(required=True, metadata={"description": "The sum of the weights of components with evidence"})
    components = fields.Nested(ComponentScores)
    breakdown = fields.Nested(BreakdownAnswer)
    cohort_id = fields.String(allow_none=True)
    date = fields.Date(metadata={"description": "The day of the answer, UTC"})
    trend = fields.String(validate=validate.OneOf([trend.value for trend in Trend]))
    historical_average = Fraction(metadata={"description": "Mean daily mastery since the first evidence that is retained"})


CalculationAnswer = envelope(Calculation)


@blueprint.post("/query")
@use_case(blueprint, Action.QUERY_MASTERY, MasteryQuery(), examples=QUERY)
@blueprint.response(200, CalculationAnswer)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="queryMastery")
def query(body: dict[str, Any]) -> Response:
    """A student's mastery, today or on an earlier day"""
    student_id = body["student_id"]
    record = student_record(student_id)
    served = engine()
    standing = query_mastery(
        principal().tenant,
        student_id,
        stores=served.mastery,
        now=served.clock(),
        on=body.get("date"),
        fields=record,
    )
    if body["include_components"]:
        return success(standing)
    return success({name: value for name, value in to_builtins(standing).items() if name not in _COMPONENTS})


@blueprint.post("/calculate")
@use_case(blueprint, Action.CALCULATE_MASTERY, MasteryCalculation(), examples=CALCULATE)
@blueprint.response(200, CalculationAnswer)
@blueprint.alt_response(202, schema=TaskAnswer, description="A task computes the answer: poll Location", headers=TASK_HEADERS)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="calculateMastery", parameters=[PREFER])
def calculate_mastery(body: dict[str, Any]) -> Response:
    """Mastery from given components, or recomputed from the student's facts and stored"""
    student_id = body["student_id"]
    require_student(student_id)
    weights = check_weights(Weights(**{**DEFAULT_WEIGHTS._asdict(), **body.get("weights", {})}))
    if "components" in body:
        calculation = calculate(Components(**body["components"]), weights)
        return success({"student_id": student_id, **to_builtins(calculation)})
    tenant = principal().tenant
    engine().mastery.facts.require_student(tenant, student_id)
    return answer_of(calculate_task, tenant, student_id, list(weights), signed_actor(student_id, list(weights)))
