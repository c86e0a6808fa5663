"""GET /predictions/accuracy: how far forecasts were off."""

from typing import Any

from flask import Response
from marshmallow import RAISE, Schema, fields

from api.access import performs
from api.authentication import engine, principal
from api.examples import COHORT
from api.fields import IDENTIFIER_ERROR, OPENAPI_IDENTIFIER, Fraction, Limit, PatternField
from api.parsing import JsonBlueprint
from api.request_audit import details
from api.responses import envelope, success
from app.clock import day_date, day_number
from app.consent.consent import FEWEST_IN_STATISTICS
from app.predictions.forecast_accuracy import Accuracy, AccuracyReport, cohorts_report, tenant_report
from app.roles import Role
from app.security.access import Action, require_cohort_access

MAX_LIMIT = 100  # cohorts of a page: some 10,000 sums, tens of milliseconds
NOTHING = "No forecast has been scored yet: that is done when its day is over, a week after it was made."
TOO_FEW = f"There are forecasts of too few students: at least {FEWEST_IN_STATISTICS} on a day are needed."

blueprint = JsonBlueprint("accuracy", __name__, url_prefix="/predictions", description="How far forecasts were off")


class AccuracyQuery(Schema):
    cohort_id = PatternField(OPENAPI_IDENTIFIER, IDENTIFIER_ERROR, description="Only of this cohort", example=COHORT)
    limit = Limit(default=50, most=MAX_LIMIT)
    cursor = PatternField(OPENAPI_IDENTIFIER, IDENTIFIER_ERROR, description="`next` of the answer before: more cohorts")


class AccuracyAnswer(Schema):
    forecasts = fields.Integer(required=True, metadata={"description": "How many, at most one for each student and day"})
    days = fields.Integer(required=True, metadata={"description": "For how many days they were made"})
    since = fields.Date(required=True, metadata={"description": "The first of these days, UTC"})
    until = fields.Date(required=True, metadata={"description": "The last one"})
    mae = Fraction(required=True, metadata={"description": "Mean absolute error of the predicted score"})
    rmse = Fraction(required=True, metadata={"description": "Root of the mean squared error"})
    within_010 = Fraction(required=True, metadata={"description": "The share of forecasts within ±0.10 of what came"})
    interval_coverage = Fraction(required=True, metadata={"description": "The share of outcomes inside the 80 % interval"})


class ModelAccuracyAnswer(AccuracyAnswer):
    model = fields.String(required=True, metadata={"example": "base"})
    model_version = fields.String(required=True)


class CohortAccuracyAnswer(AccuracyAnswer):
    cohort_id = fields.String(required=True)


class AccuracyReportAnswer(Schema):
    overall = fields.Nested(
        AccuracyAnswer,
        required=True,
        allow_none=True,
        metadata={"description": "Of all that the caller may see, or of `cohort_id`; null: see `note`"},
    )
    models = fields.List(
        fields.Nested(ModelAccuracyAnswer), required=True, metadata={"description": "The same by model and version"}
    )
    cohorts = fields.List(
        fields.Nested(CohortAccuracyAnswer),
        required=True,
        metadata={"description": "By cohort; without those that have forecasts of too few students"},
    )
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The cursor of more cohorts; null at the end"}
    )
    note = fields.String(required=True, allow_none=True, metadata={"description": "Why there is nothing, else null"})


@blueprint.get("/accuracy")
@performs(Action.READ_ACCURACY)
@blueprint.arguments(AccuracyQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(AccuracyReportAnswer))
@blueprint.doc(operationId="readForecastAccuracy")
def read(query: dict[str, Any]) -> Response:
    """How far forecasts were off: of the tenant, its cohorts, and each model"""
    details(**{name: query[name] for name in ("cohort_id",) if name in query})
    found = _report(query.get("cohort_id"), query["limit"], query.get("cursor", ""))
    return success(
        {
            "overall": _shown(found.overall) if found.overall else None,
            "models": [
                {"model": each.model, "model_version": each.model_version, **_shown(each.accuracy)} for each in found.models
            ],
            "cohorts": [{"cohort_id": cohort, **_shown(accuracy)} for cohort, accuracy in found.cohorts],
            "next": found.following,
            "note": None if found.overall else TOO_FEW if found.has_scores else NOTHING,
        }
    )


def _report(cohort: str | None, limit: int, after: str) -> AccuracyReport:
    """Of a cohort; without one, of the tenant, or of a teacher's cohorts."""
    who, served = principal(), engine()
    store, today = served.accuracy, day_number(served.clock())
    if cohort is not None:
        require_cohort_access(who, Action.READ_ACCURACY, cohort)
        return cohorts_report(who.tenant, [cohort], store=store, today=today, limit=limit, after=after)
    if who.role is Role.TEACHER:
        return cohorts_report(who.tenant, sorted(who.cohorts), store=store, today=today, limit=limit, after=after)
    cohorts = served.mastery.scores.cohorts(who.tenant)
    return tenant_report(who.tenant, cohorts, store=store, today=today, limit=limit, after=after)


def _shown(accuracy: Accuracy) -> dict[str, Any]:
    errors = accuracy.errors
    shares = {
        "mae": errors.mae,
        "rmse": errors.rmse,
        "within_010": errors.within_010,
        "interval_coverage": errors.interval_coverage,
    }
    return {
        "forecasts": errors.number,
        "days": accuracy.days,
        "since": day_date(accuracy.since).isoformat(),
        "until": day_date(accuracy.until).isoformat(),
        **{name: round(share, 6) for name, share in shares.items()},
    }
