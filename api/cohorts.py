"""GET /analytics/cohorts and /analytics/cohorts/{cohort_id}: how cohorts stand, and one of them in detail."""

from typing import Any

import msgspec
from flask import Response
from marshmallow import RAISE, Schema, fields

from api.access import performs
from api.at_risk import AtRiskList, shown_list
from api.authentication import engine, principal
from api.compare import DistributionAnswer
from api.examples import COHORT
from api.fields import IDENTIFIER_ERROR, OPENAPI_IDENTIFIER, Fraction, Limit, PatternField
from api.parsing import JsonBlueprint
from api.request_audit import details, set_data_subjects, signed_actor
from api.responses import envelope, success
from api.task_answers import PREFER, TASK_HEADERS, TaskAnswer, answer_of
from app.analytics.cohort_list import cohort_list
from app.analytics.cohort_report import HELPED_FIRST, CohortReport, cohort_report
from app.analytics.cohort_trend import MOST_STUDENTS
from app.analytics.frequencies import BINS
from app.analytics.trend_store import Trend
from app.analytics.weekly_means import WEEKS
from app.audit.entry import timestamp
from app.clock import day_date, moment_of
from app.consent.consent import FEWEST_IN_STATISTICS
from app.errors import DependencyUnavailable
from app.mastery.formula import Level
from app.security.access import Action, cohorts_in_reach, require_cohort_access
from tasks.analytics import prepare_cohort_report

MAX_LIMIT = 100  # cohorts of a page: some milliseconds of Redis

blueprint = JsonBlueprint("cohorts", __name__, url_prefix="/analytics", description="How cohorts stand")

_PATH = {
    "name": "cohort_id",
    "in": "path",
    "schema": {"type": "string", "pattern": OPENAPI_IDENTIFIER},
    "example": COHORT,
}
_TOO_FEW = f"null if there are fewer than {FEWEST_IN_STATISTICS} students"
_STUDENTS = "Who have evidence and allow `cohort_statistics`"


def _levels() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        allow_none=True,
        metadata={"description": f"Number of students by level; {_TOO_FEW}", "example": dict.fromkeys(map(str, Level), 6)},
    )


class CohortsQuery(Schema):
    limit = Limit(default=20, most=MAX_LIMIT)
    cursor = PatternField(OPENAPI_IDENTIFIER, IDENTIFIER_ERROR, description="`next` of the answer before: more cohorts")


class NoQuery(Schema):
    """No parameters. Without it, a misspelt or unsupported one would be ignored."""


class CohortSummaryAnswer(Schema):
    cohort_id = fields.String(required=True)
    students = fields.Integer(required=True, metadata={"description": _STUDENTS})
    mean = Fraction(required=True, allow_none=True, metadata={"description": f"Mastery; {_TOO_FEW}"})
    levels = _levels()


class CohortsAnswer(Schema):
    date = fields.Date(
        required=True,
        allow_none=True,
        metadata={"description": "Scores are of this day, UTC, or of a later one; null: there are none"},
    )
    cohorts = fields.List(
        fields.Nested(CohortSummaryAnswer), required=True, metadata={"description": "Those that have students, by name"}
    )
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The cursor of more cohorts; null at the end"}
    )


class BinAnswer(Schema):
    lower = Fraction(required=True, metadata={"description": "In the bin"})
    upper = Fraction(required=True, metadata={"description": "Not in the bin, except for 1 in the last one"})
    students = fields.Integer(required=True)


class WeekAnswer(Schema):
    week = fields.String(required=True, metadata={"description": "ISO 8601", "example": "2026-W44"})
    date = fields.Date(required=True, metadata={"description": "Of whose end the mean is: a Sunday, UTC, or today"})
    mean = Fraction(required=True, allow_none=True, metadata={"description": f"Mastery; {_TOO_FEW}"})
    students = fields.Integer(required=True, metadata={"description": "Who have evidence up to that day"})


class TrendAnswer(Schema):
    computed_at = fields.DateTime(required=True, metadata={"description": "UTC"})
    sampled = fields.Boolean(
        required=True, metadata={"description": f"The cohort is larger than {MOST_STUDENTS}: so many were drawn at random"}
    )
    weeks = fields.List(
        fields.Nested(WeekAnswer), required=True, metadata={"description": f"The last {WEEKS} weeks that have ended, and today"}
    )


class CohortReportAnswer(Schema):
    cohort_id = fields.String(required=True)
    date = fields.Date(required=True, metadata={"description": "Scores are of this day, UTC, or of a later one"})
    students = fields.Integer(required=True, metadata={"description": _STUDENTS})
    statistics = fields.Nested(
        DistributionAnswer, required=True, allow_none=True, metadata={"description": f"Of mastery; {_TOO_FEW}"}
    )
    levels = _levels()
    histogram = fields.List(
        fields.Nested(BinAnswer),
        required=True,
        allow_none=True,
        metadata={"description": f"{BINS} bins of mastery; {_TOO_FEW}"},
    )
    trend = fields.Nested(
        TrendAnswer, required=True, metadata={"description": "The mean mastery of the present students, week by week"}
    )
    at_risk = fields.Nested(
        AtRiskList, required=True, metadata={"description": f"The first {HELPED_FIRST} students of the list of those at risk"}
    )
    note = fields.String(required=True, allow_none=True, metadata={"description": "What to know about this answer, else null"})


_OF_THE_LIST = """Cohorts in which somebody has evidence: for admins all of the tenant, for teachers those of the token.

- 403: the caller is neither a teacher nor an admin.
- 422: an invalid or unknown parameter."""

_OF_ONE = """For admins, and teachers with the cohort in the token.

- 403: the caller may not see this cohort; it does not tell whether the cohort exists.
- 404: no students with evidence in this cohort, or the path has no valid id.
- 422: the request has query parameters; there are none."""


@blueprint.get("/cohorts")
@performs(Action.LIST_COHORTS)
@blueprint.arguments(CohortsQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(CohortsAnswer))
@blueprint.doc(operationId="listCohorts", description=_OF_THE_LIST)
def list_cohorts(query: dict[str, Any]) -> Response:
    """The tenant's cohorts, or those of a teacher, with mean and levels"""
    who = principal()
    page = cohort_list(
        who.tenant,
        stores=engine().mastery,
        is_visible=cohorts_in_reach(who, Action.LIST_COHORTS),
        limit=query["limit"],
        after=query.get("cursor", ""),
    )
    return success(
        {
            "date": None if page.day is None else day_date(page.day).isoformat(),
            "cohorts": msgspec.to_builtins(page.cohorts),
            "next": page.following,
        }
    )


@blueprint.get("/cohorts/<identifier:cohort_id>", parameters=[_PATH, PREFER])
@performs(Action.READ_COHORT)
@blueprint.arguments(NoQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(CohortReportAnswer))
@blueprint.alt_response(
    202,
    schema=TaskAnswer,
    description="A task computes the trend and the list of students at risk: poll Location, and when the task has succeeded, "
    "repeat this request",
    headers=TASK_HEADERS,
)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="readCohort", description=_OF_ONE)
def read_cohort(_query: dict[str, Any], cohort_id: str) -> Response:
    """A cohort's distribution of mastery, its trend, and who needs help first"""
    details(cohort_id=cohort_id)
    require_cohort_access(principal(), Action.READ_COHORT, cohort_id)
    report = _report(cohort_id)
    if report is None:
        answer = answer_of(prepare_cohort_report, principal().tenant, cohort_id, signed_actor(cohort_id))
        if answer.status_code != 200:
            return answer
        report = _report(cohort_id)
    if report is None:  # midnight, a decision about consent, or a promotion of another model, came between
        raise DependencyUnavailable("the report of the cohort", "was replaced")
    set_data_subjects(*(each.student_id for each in report.at_risk.students))
    return success(_shown(cohort_id, report))


def _report(cohort: str) -> CohortReport | None:
    served = engine()
    return cohort_report(principal().tenant, cohort, using=served.reporting, now=served.clock())


def _shown(cohort: str, report: CohortReport) -> dict[str, Any]:
    return {
        "cohort_id": cohort,
        "date": day_date(report.day).isoformat(),
        "students": report.students,
        "statistics": msgspec.to_builtins(report.statistics),
        "levels": msgspec.to_builtins(report.levels),
        "histogram": msgspec.to_builtins(report.histogram),
        "trend": _shown_trend(report.trend),
        "at_risk": shown_list(report.at_risk),
        "note": report.note,
    }


def _shown_trend(trend: Trend) -> dict[str, Any]:
    return {
        "computed_at": timestamp(moment_of(trend.computed_at)),
        "sampled": trend.sampled,
        "weeks": msgspec.to_builtins(trend.weeks),
    }
