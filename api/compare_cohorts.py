"""POST /analytics/compare/cohorts: how two cohorts compare."""

from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.authentication import engine, principal
from api.examples import COHORT, COMPARE_COHORTS, OTHER_COHORT
from api.fields import IDENTIFIER_ERROR, OPENAPI_IDENTIFIER, Fraction, PatternField
from api.parsing import JsonBlueprint
from api.request_audit import details, signed_actor
from api.responses import envelope
from api.task_answers import PREFER, TASK_HEADERS, TaskAnswer, answer_of
from api.use_cases import use_case
from app.analytics.compare_cohorts import require_comparable
from app.analytics.two_samples import EffectSize
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.formula import Level
from app.security.access import Action, require_cohort_access
from tasks.analytics import compare_cohorts

blueprint = JsonBlueprint("compare-cohorts", __name__, url_prefix="/analytics", description="How two cohorts compare")

_NO_SPREAD = "null if all values within each cohort are the same"


class CohortsBody(Schema):
    cohort_a = PatternField(OPENAPI_IDENTIFIER, IDENTIFIER_ERROR, required=True, example=COHORT)
    cohort_b = PatternField(OPENAPI_IDENTIFIER, IDENTIFIER_ERROR, required=True, example=OTHER_COHORT)

    @validates_schema(skip_on_field_errors=True)
    def _are_different(self, body: dict[str, Any], **_options: Any) -> None:
        if body["cohort_a"] == body["cohort_b"]:
            raise ValidationError("Must be another cohort than cohort_a.", "cohort_b")


class ConfidenceIntervalAnswer(Schema):
    lower = fields.Float(required=True)
    upper = fields.Float(required=True)


class SampleAnswer(Schema):
    students = fields.Integer(required=True, metadata={"description": "Who allow statistics and have evidence in this metric"})
    mean = Fraction(required=True)
    standard_deviation = Fraction(
        required=True,
        metadata={
            "description": "Of the sample (divided by `students` − 1), as the tests use it; other answers have the population's"
        },
    )
    confidence_interval = fields.Nested(
        ConfidenceIntervalAnswer,
        required=True,
        allow_none=True,
        metadata={"description": "Of the mean: 95 %, by Student's t; may reach beyond 0 to 1. null if all values are the same"},
    )


class DifferenceAnswer(Schema):
    mean = fields.Float(
        required=True,
        validate=validate.Range(-1, 1),
        metadata={"description": "The mean of `cohort_a` minus that of `cohort_b`"},
    )
    confidence_interval = fields.Nested(
        ConfidenceIntervalAnswer,
        required=True,
        allow_none=True,
        metadata={"description": f"95 %, by Welch's t; {_NO_SPREAD}"},
    )


class EffectAnswer(Schema):
    cohens_d = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": f"Cohen's d: the difference in pooled standard deviations; {_NO_SPREAD}"},
    )
    size = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(list(EffectSize)),
        metadata={"description": "Cohen's words for it: small from 0.2 on, medium from 0.5, large from 0.8"},
    )


class WelchTestAnswer(Schema):
    t = fields.Float(required=True)
    degrees_of_freedom = fields.Float(required=True, metadata={"description": "By Welch and Satterthwaite"})
    p = Fraction(required=True, metadata={"description": "Two-sided, not rounded"})


class MannWhitneyTestAnswer(Schema):
    u = fields.Float(
        required=True,
        metadata={
            "description": "In how many pairs of a student of `cohort_a` and one of `cohort_b` the first has the higher value; "
            "equal ones count a half"
        },
    )
    p = Fraction(
        required=True,
        allow_none=True,
        metadata={"description": "Two-sided, not rounded; null if all values of both cohorts are the same"},
    )
    superiority = Fraction(required=True, metadata={"description": "`u` as a share of all pairs; 0.5 if neither is higher"})


class TwoSamplesAnswer(Schema):
    cohort_a = fields.Nested(SampleAnswer, required=True)
    cohort_b = fields.Nested(SampleAnswer, required=True)
    difference = fields.Nested(DifferenceAnswer, required=True)
    effect = fields.Nested(EffectAnswer, required=True)
    welch = fields.Nested(
        WelchTestAnswer,
        required=True,
        allow_none=True,
        metadata={"description": f"Welch's t-test, whether the means differ; {_NO_SPREAD}"},
    )
    mann_whitney = fields.Nested(
        MannWhitneyTestAnswer,
        required=True,
        metadata={"description": "The Mann–Whitney test, whether the values of one cohort tend to be higher"},
    )


def _metric() -> fields.Nested:
    return fields.Nested(
        TwoSamplesAnswer,
        required=True,
        allow_none=True,
        metadata={"description": f"null if fewer than {FEWEST_IN_STATISTICS} students of a cohort have evidence in it"},
    )


class CohortMetrics(Schema):
    mastery = fields.Nested(TwoSamplesAnswer, required=True)
    completion = _metric()
    quiz = _metric()
    quality = _metric()
    consistency = _metric()


class LevelShareAnswer(Schema):
    students = fields.Integer(required=True)
    share = Fraction(required=True, metadata={"description": "Of the students of the cohort who are compared"})


LevelsAnswer = Schema.from_dict({level: fields.Nested(LevelShareAnswer, required=True) for level in Level}, name="Levels")


class ComparedCohortAnswer(Schema):
    cohort_id = fields.String(required=True)
    students = fields.Integer(required=True, metadata={"description": "Who allow `cohort_statistics` and have evidence"})
    levels = fields.Nested(LevelsAnswer, required=True)


class CohortComparisonAnswer(Schema):
    cohort_a = fields.Nested(ComparedCohortAnswer, required=True)
    cohort_b = fields.Nested(ComparedCohortAnswer, required=True)
    date = fields.Date(required=True, metadata={"description": "The day of the scores, UTC; see `summary` if it is not today"})
    metrics = fields.Nested(CohortMetrics, required=True)
    summary = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "What the comparison by mastery means, and what it does not mean; for people, not for programs"
        },
    )


_DESCRIPTION = f"""For admins, and teachers with both cohorts in the token.

- 403: the caller may not see both cohorts.
- 404: no students with evidence in one of the cohorts.
- 422: an invalid field, twice the same cohort, or fewer than {FEWEST_IN_STATISTICS} students of a cohort can be compared."""


@blueprint.post("/compare/cohorts", parameters=[PREFER])
@use_case(blueprint, Action.COMPARE_COHORTS, CohortsBody(), examples=COMPARE_COHORTS)
@blueprint.response(200, envelope(CohortComparisonAnswer))
@blueprint.alt_response(202, schema=TaskAnswer, description="A task compares them: poll Location", headers=TASK_HEADERS)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="compareCohorts", description=_DESCRIPTION)
def compare(body: dict[str, Any]) -> Response:
    """Whether two cohorts differ, by how much, and how sure that is"""
    who, cohorts = principal(), (body["cohort_a"], body["cohort_b"])
    details(**body)
    for cohort in cohorts:
        require_cohort_access(who, Action.COMPARE_COHORTS, cohort)
    require_comparable(who.tenant, *cohorts, stores=engine().mastery)
    return answer_of(compare_cohorts, who.tenant, *cohorts, signed_actor(*cohorts))
