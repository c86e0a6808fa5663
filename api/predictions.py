"""POST /predictions/next-week and /predictions/trajectory: where a student will be.

An answer that is in the cache is given without a task.
"""

from collections.abc import Callable
from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from api.access import require_student
from api.authentication import engine, principal
from api.examples import NEXT_WEEK, TRAJECTORY
from api.fields import Fraction
from api.parsing import JsonBlueprint, StudentBody
from api.request_audit import signed_actor
from api.responses import envelope, success
from api.task_answers import PREFER, TASK_HEADERS, TaskAnswer, answer_of
from api.use_cases import use_case
from app.mastery.trend import Trend
from app.predictions.current_forecast import stored_forecast
from app.predictions.forecast import MOST_DAYS, WEEK, Forecast, WarningCode
from app.predictions.intervention import ReasonCode
from app.predictions.predict_next_week import next_week
from app.predictions.predict_trajectory import trajectory
from app.purposes import Purpose
from app.security.access import Action
from tasks.predictions import predict_next_week, predict_trajectory

blueprint = JsonBlueprint("predictions", __name__, url_prefix="/predictions", description="Where a student will be")


class TrajectoryBody(StudentBody):
    days = fields.Integer(
        strict=True,
        load_default=WEEK,
        validate=validate.Range(1, MOST_DAYS),
        metadata={"description": "How many days ahead"},
    )


class IntervalAnswer(Schema):
    lower = Fraction(required=True)
    upper = Fraction(required=True)
    level = Fraction(required=True, metadata={"description": "The probability that mastery is in it"})


class ReasonAnswer(Schema):
    code = fields.String(required=True, validate=validate.OneOf(list(ReasonCode)))
    text = fields.String(required=True)


class WarningAnswer(Schema):
    code = fields.String(required=True, validate=validate.OneOf(list(WarningCode)))
    text = fields.String(required=True)


class _AnyForecast(Schema):
    student_id = fields.String(required=True)
    cohort_id = fields.String(required=True, allow_none=True)
    confidence = Fraction(required=True, metadata={"description": "Rises with history, falls with gaps and staleness"})
    trend = fields.String(
        required=True,
        validate=validate.OneOf(list(Trend)),
        metadata={"description": "The sign of slope_per_day; stable within ±0.002"},
    )
    slope_per_day = fields.Float(required=True, metadata={"description": "Of a regression over up to 30 days"})
    current_score = Fraction(required=True)
    model = fields.String(required=True, metadata={"description": "The kind of model", "example": "base"})
    model_version = fields.String(required=True)
    days_of_history = fields.Integer(required=True, metadata={"description": "Since the first evidence that is retained"})
    coverage = Fraction(required=True, metadata={"description": "The sum of the weights of components with evidence"})
    stale = fields.Boolean(required=True, metadata={"description": "No evidence for 14 days"})
    warnings = fields.List(fields.Nested(WarningAnswer), required=True)


class NextWeekForecast(_AnyForecast):
    date = fields.Date(required=True, metadata={"description": "The predicted day, UTC: today + 7"})
    predicted_score = Fraction(required=True)
    interval = fields.Nested(IntervalAnswer, required=True)
    intervention_needed = fields.Boolean(
        required=True, metadata={"description": "The predicted score is below MASTERY_INTERVENTION_THRESHOLD"}
    )
    reasons = fields.List(
        fields.Nested(ReasonAnswer), required=True, metadata={"description": "Empty if no intervention is needed"}
    )


class PastDay(Schema):
    date = fields.Date(required=True)
    score = Fraction(required=True)


class FutureDay(Schema):
    date = fields.Date(required=True)
    predicted_score = Fraction(required=True)
    interval = fields.Nested(IntervalAnswer, required=True)


class TrajectoryForecast(_AnyForecast):
    past = fields.List(
        fields.Nested(PastDay), required=True, metadata={"description": f"Up to {MOST_DAYS} days, the last one is today"}
    )
    future = fields.List(fields.Nested(FutureDay), required=True)
    threshold = Fraction(required=True, metadata={"description": "MASTERY_INTERVENTION_THRESHOLD"})
    falls_below_threshold_on = fields.Date(
        required=True, allow_none=True, metadata={"description": "The first such day; null: none of these days"}
    )


NextWeekAnswer = envelope(NextWeekForecast)
TrajectoryAnswer = envelope(TrajectoryForecast)


@blueprint.post("/next-week")
@use_case(blueprint, Action.PREDICT_NEXT_WEEK, StudentBody(), examples=NEXT_WEEK)
@blueprint.response(200, NextWeekAnswer)
@blueprint.alt_response(202, schema=TaskAnswer, description="A task computes the answer: poll Location", headers=TASK_HEADERS)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="predictNextWeek", parameters=[PREFER])
def predict_week(body: dict[str, Any]) -> Response:
    """A student's mastery in a week, and whether somebody should help"""
    student_id, threshold = body["student_id"], engine().settings.intervention_threshold
    return _answer(student_id, lambda forecast: next_week(student_id, forecast, threshold), predict_next_week)


@blueprint.post("/trajectory")
@use_case(blueprint, Action.PREDICT_TRAJECTORY, TrajectoryBody(), examples=TRAJECTORY)
@blueprint.response(200, TrajectoryAnswer)
@blueprint.alt_response(202, schema=TaskAnswer, description="A task computes the answer: poll Location", headers=TASK_HEADERS)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="predictTrajectory", parameters=[PREFER])
def predict_days(body: dict[str, Any]) -> Response:
    """A student's mastery on each of the last and the next days"""
    student_id, days, threshold = body["student_id"], body["days"], engine().settings.intervention_threshold
    return _answer(student_id, lambda forecast: trajectory(student_id, forecast, days, threshold), predict_trajectory, days)


def _answer(student_id: str, render: Callable[[Forecast], Any], task: Any, *arguments: int) -> Response:
    """The answer of a stored forecast, or that of a task."""
    require_student(student_id)
    tenant, served = principal().tenant, engine()
    forecast = stored_forecast(tenant, student_id, using=served.forecasting, now=served.clock())
    if forecast is not None:
        return success(render(forecast))
    actor = signed_actor(student_id, *arguments)
    return answer_of(task, tenant, student_id, *arguments, actor, purpose=Purpose.PREDICTIONS)
