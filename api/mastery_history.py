"""POST /analytics/mastery-history: how a student's mastery has changed."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from api.authentication import engine, principal
from api.examples import EXAMPLE_END, EXAMPLE_START, HISTORY
from api.fields import Day, Fraction
from api.mastery import ComponentScores
from api.media_types import CSV, accepted, also_text
from api.parsing import JsonBlueprint, StudentBody
from api.responses import envelope, success
from api.student_record import student_record
from api.use_cases import use_case
from app.analytics.mastery_history import POINT_COLUMNS, Aggregation, point_line
from app.analytics.read_history import MasteryHistory, read_history
from app.csv_text import csv_text
from app.mastery.formula import Level
from app.mastery.trend import Trend
from app.security.access import Action

blueprint = JsonBlueprint(
    "mastery-history", __name__, url_prefix="/analytics", description="How a student's mastery has changed"
)

_CHANGE = validate.Range(-1, 1)


class HistoryBody(StudentBody):
    start_date = Day(required=True, metadata={"description": "The first day, UTC; retained", "example": EXAMPLE_START})
    end_date = Day(required=True, metadata={"description": "The last day; today or earlier", "example": EXAMPLE_END})
    aggregation = fields.String(
        load_default=Aggregation.DAILY.value,
        validate=validate.OneOf(list(Aggregation)),
        metadata={"description": "A point for each day, ISO week (Monday to Sunday) or calendar month"},
    )


class PointAnswer(Schema):
    period = fields.String(
        required=True, metadata={"description": "A day, or as in 2026-W44 or 2026-10", "example": "2026-W44"}
    )
    start = fields.Date(required=True, metadata={"description": "The first day of the period that is in the range and known"})
    end = fields.Date(required=True, metadata={"description": "The last one"})
    mean = Fraction(required=True, metadata={"description": "Of the mastery at the end of each of these days"})
    min = Fraction(required=True)
    max = Fraction(required=True)
    last = Fraction(required=True, metadata={"description": "Mastery at the end of the last day"})
    level = fields.String(
        required=True, validate=validate.OneOf(list(Level)), metadata={"description": "At the end of the last day"}
    )
    components = fields.Nested(ComponentScores, required=True, metadata={"description": "At the end of the last day"})
    days_with_evidence = fields.Integer(required=True, metadata={"description": "Days on which there was an event"})


class SummaryAnswer(Schema):
    mean = Fraction(required=True, metadata={"description": "Of the mastery at the end of each day, as are the next ones"})
    median = Fraction(required=True)
    standard_deviation = Fraction(required=True, metadata={"description": "Of the population"})
    lower_quartile = Fraction(required=True)
    upper_quartile = Fraction(required=True)
    first = Fraction(required=True, metadata={"description": "Of the first day that is known"})
    last = Fraction(required=True, metadata={"description": "Of `end_date`"})
    change = fields.Float(required=True, validate=_CHANGE, metadata={"description": "last − first"})
    trend = fields.String(
        required=True, validate=validate.OneOf(list(Trend)), metadata={"description": "As a query tells it for `end_date`"}
    )
    volatility = Fraction(
        required=True,
        allow_none=True,
        metadata={"description": "Standard deviation of the changes from day to day; null: only one day is known"},
    )
    longest_streak = fields.Integer(required=True, metadata={"description": "The most days in a row with an event"})
    days_with_evidence = fields.Integer(required=True)


class HistoryAnswer(Schema):
    student_id = fields.String(required=True)
    cohort_id = fields.String(required=True, allow_none=True)
    start_date = fields.Date(required=True)
    end_date = fields.Date(required=True)
    aggregation = fields.String(required=True, validate=validate.OneOf(list(Aggregation)))
    points = fields.List(
        fields.Nested(PointAnswer),
        required=True,
        metadata={"description": "The earliest first; none for days before the first retained evidence, which are unknown"},
    )
    summary = fields.Nested(SummaryAnswer, required=True)


MasteryHistoryAnswer = envelope(HistoryAnswer)

_DESCRIPTION = """Computed from the student's facts.

- 403: the caller may not see the student; it does not tell whether the student exists.
- 404: no evidence of the student up to `end_date`.
- 422: a day is invalid, in the future or not retained, `start_date` is after `end_date`, or another field is invalid."""


@blueprint.post("/mastery-history")
@use_case(blueprint, Action.READ_HISTORY, HistoryBody(), examples=HISTORY)
@blueprint.response(200, MasteryHistoryAnswer, description="By `Accept`: JSON, or the points as CSV")
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="readMasteryHistory", description=_DESCRIPTION, responses={200: also_text(CSV)})
def read(body: dict[str, Any]) -> Response:
    """A student's mastery by day, week or month, with a summary"""
    student_id = body["student_id"]
    record = student_record(student_id)
    served = engine()
    found = read_history(
        principal().tenant,
        student_id,
        stores=served.mastery,
        now=served.clock(),
        start=body["start_date"],
        end=body["end_date"],
        aggregation=Aggregation(body["aggregation"]),
        fields=record,
    )
    return _csv(found) if accepted(CSV) == CSV else success(found)


def _csv(found: MasteryHistory) -> Response:
    """The points with a header. The name of the file does not tell whose they are."""
    name = f"mastery-{found.aggregation}-{found.start_date}-{found.end_date}.csv"
    text = csv_text([POINT_COLUMNS, *map(point_line, found.points)])
    return Response(text, 200, {"Content-Disposition": f'attachment; filename="{name}"'}, mimetype=CSV)
