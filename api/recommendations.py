"""POST /recommendations/adaptive and /recommendations/learning-path: what a student should do next, and in which order."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from api.access import require_student
from api.authentication import engine, principal
from api.examples import LEARNING_PATH, RECOMMEND
from api.fields import Fraction
from api.parsing import JsonBlueprint, StudentBody
from api.responses import envelope, success
from api.use_cases import use_case
from app.mastery.formula import Components, Level
from app.recommendations.efforts import LearningAction
from app.recommendations.learning_path import DEFAULT_MINUTES, Shortfall
from app.recommendations.plan_learning_path import plan_learning_path
from app.recommendations.recommend_actions import recommend_actions
from app.recommendations.rules import FEWEST_MINUTES, HORIZON_DAYS, MOST_MINUTES, MOST_RECOMMENDATIONS, Priority
from app.security.access import Action

blueprint = JsonBlueprint(
    "recommendations", __name__, url_prefix="/recommendations", description="What a student should do next"
)

_COMPONENT = validate.OneOf(Components._fields)
_LEVEL = validate.OneOf(list(Level))
_AMOUNT = {"description": "Exercises, questions, submissions or days"}


class RecommendationsBody(StudentBody):
    limit = fields.Integer(strict=True, load_default=MOST_RECOMMENDATIONS, validate=validate.Range(1, MOST_RECOMMENDATIONS))
    priority = fields.String(validate=validate.OneOf(list(Priority)), metadata={"description": "Only those of this priority"})
    components = fields.List(
        fields.String(validate=_COMPONENT),
        validate=validate.Length(1, len(Components._fields)),
        metadata={"description": "Only those for these components"},
    )


class LearningPathBody(StudentBody):
    target_level = fields.String(validate=_LEVEL, metadata={"description": "The next level above the student's unless given"})
    minutes_per_day = fields.Integer(
        strict=True, load_default=DEFAULT_MINUTES, validate=validate.Range(FEWEST_MINUTES, MOST_MINUTES)
    )


class RecommendationAnswer(Schema):
    component = fields.String(required=True, validate=_COMPONENT)
    action = fields.String(required=True, validate=validate.OneOf(list(LearningAction)))
    area = fields.String(required=True)
    priority = fields.String(required=True, validate=validate.OneOf(list(Priority)))
    impact = Fraction(required=True, metadata={"description": "weight · (0.7 − score)"})
    score = Fraction(required=True, allow_none=True, metadata={"description": "The component now; null: no evidence"})
    reached = Fraction(required=True, metadata={"description": "The component afterwards"})
    amount = fields.Integer(required=True, metadata=_AMOUNT)
    estimated_minutes = fields.Integer(required=True)
    gain = Fraction(required=True, metadata={"description": "Mastery gained, after those before it"})
    what = fields.String(required=True)
    why = fields.String(required=True)


class AdviceAnswer(Schema):
    student_id = fields.String(required=True)
    date = fields.Date(required=True, metadata={"description": "The day of the answer, UTC"})
    score = Fraction(required=True)
    level = fields.String(required=True, validate=_LEVEL)
    recommendations = fields.List(fields.Nested(RecommendationAnswer), required=True)
    total_gain = Fraction(required=True, metadata={"description": "The sum of the gains"})
    expected_score = Fraction(required=True, metadata={"description": "Mastery after all recommendations"})
    expected_level = fields.String(required=True, validate=_LEVEL)
    message = fields.String(required=True)
    assumptions = fields.List(fields.String(), required=True)


class StepAnswer(Schema):
    number = fields.Integer(required=True, metadata={"description": "From 1"})
    component = fields.String(required=True, validate=_COMPONENT)
    action = fields.String(required=True, validate=validate.OneOf(list(LearningAction)))
    area = fields.String(required=True)
    amount = fields.Integer(required=True, metadata=_AMOUNT)
    minutes = fields.Integer(required=True)
    first_day = fields.Date(required=True)
    last_day = fields.Date(required=True)
    component_score = Fraction(required=True, metadata={"description": "The component after this step"})
    expected_score = Fraction(required=True, metadata={"description": "Mastery after this step, on its last day"})
    expected_level = fields.String(required=True, validate=_LEVEL)
    what = fields.String(required=True)


class TaskOfDay(Schema):
    step = fields.Integer(required=True, metadata={"description": "The number of the step"})
    component = fields.String(required=True, validate=_COMPONENT)
    minutes = fields.Integer(required=True)
    finished = fields.Integer(required=True, metadata=_AMOUNT)


class StudyDayAnswer(Schema):
    date = fields.Date(required=True)
    minutes = fields.Integer(required=True)
    tasks = fields.List(fields.Nested(TaskOfDay), required=True)
    expected_score = Fraction(required=True, metadata={"description": "Mastery at the end of the day"})


class PathAnswer(Schema):
    student_id = fields.String(required=True)
    date = fields.Date(required=True, metadata={"description": "The day of the answer, UTC; the plan begins a day later"})
    score = Fraction(required=True)
    level = fields.String(required=True, validate=_LEVEL)
    target_level = fields.String(required=True, validate=_LEVEL)
    target_score = Fraction(required=True, metadata={"description": "Where the target level begins"})
    minutes_per_day = fields.Integer(required=True)
    reaches_target = fields.Boolean(required=True)
    shortfall = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(list(Shortfall)),
        metadata={"description": f"Why not: more minutes a day are needed, or {HORIZON_DAYS} days are not enough"},
    )
    postponed = fields.List(
        fields.String(validate=_COMPONENT), required=True, metadata={"description": "Come last, as they would take too long"}
    )
    expected_score = Fraction(required=True, metadata={"description": "Mastery at the end of the plan"})
    expected_level = fields.String(required=True, validate=_LEVEL)
    expected_date = fields.Date(required=True, metadata={"description": "The last day of the plan; today without one"})
    score_without_plan = Fraction(required=True, metadata={"description": "Mastery on that day without any work"})
    total_minutes = fields.Integer(required=True)
    message = fields.String(required=True)
    steps = fields.List(fields.Nested(StepAnswer), required=True)
    schedule = fields.List(fields.Nested(StudyDayAnswer), required=True)
    assumptions = fields.List(fields.String(), required=True)


RecommendationsAnswer = envelope(AdviceAnswer)
LearningPathAnswer = envelope(PathAnswer)


@blueprint.post("/adaptive")
@use_case(blueprint, Action.RECOMMEND, RecommendationsBody(), examples=RECOMMEND)
@blueprint.response(200, RecommendationsAnswer)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="recommendActions")
def adaptive(body: dict[str, Any]) -> Response:
    """What a student should do for each weak component, the most important first"""
    student_id = body["student_id"]
    require_student(student_id)
    served = engine()
    return success(
        recommend_actions(
            principal().tenant,
            student_id,
            stores=served.mastery,
            consents=served.consents,
            wording=served.wording,
            now=served.clock(),
            limit=body["limit"],
            priority=Priority(body["priority"]) if "priority" in body else None,
            components=body.get("components", Components._fields),
        )
    )


@blueprint.post("/learning-path")
@use_case(blueprint, Action.PLAN_PATH, LearningPathBody(), examples=LEARNING_PATH)
@blueprint.response(200, LearningPathAnswer)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="planLearningPath")
def learning_path(body: dict[str, Any]) -> Response:
    """An ordered, day-by-day plan to a level of mastery"""
    student_id = body["student_id"]
    require_student(student_id)
    served = engine()
    return success(
        plan_learning_path(
            principal().tenant,
            student_id,
            stores=served.mastery,
            consents=served.consents,
            wording=served.wording,
            now=served.clock(),
            target=Level(body["target_level"]) if "target_level" in body else None,
            minutes_per_day=body["minutes_per_day"],
        )
    )
