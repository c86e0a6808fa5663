"""The response schemas in the OpenAPI document agree with the engine's own types in every field."""

from datetime import date
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from marshmallow import Schema, fields, validate

from api.at_risk import StudentAtRiskAnswer
from api.audit import AuditEntry
from api.changes import ChangesAnswer, ComponentChangeAnswer, ExercisesAnswer, NewEvidenceAnswer, PartAnswer
from api.cohorts import BinAnswer, WeekAnswer
from api.compare import ComparedMetrics, ComparisonData, DistributionAnswer, MetricComparisonAnswer
from api.compare_cohorts import (
    CohortComparisonAnswer,
    CohortMetrics,
    ComparedCohortAnswer,
    ConfidenceIntervalAnswer,
    DifferenceAnswer,
    EffectAnswer,
    LevelsAnswer,
    LevelShareAnswer,
    MannWhitneyTestAnswer,
    SampleAnswer,
    TwoSamplesAnswer,
    WelchTestAnswer,
)
from api.mastery import BreakdownAnswer, Calculation, ComponentScores, ComponentWeights, ContributionAnswer
from api.mastery_history import HistoryAnswer, PointAnswer, SummaryAnswer
from api.predictions import (
    FutureDay,
    IntervalAnswer,
    NextWeekForecast,
    PastDay,
    ReasonAnswer,
    TrajectoryForecast,
    WarningAnswer,
)
from api.recommendations import AdviceAnswer, PathAnswer, RecommendationAnswer, StepAnswer, StudyDayAnswer, TaskOfDay
from app.analytics.changes import Changes, ComponentChange, Exercises, NewEvidence, Part
from app.analytics.cohort_comparison import CohortComparison, ComparedCohort, LevelShare
from app.analytics.comparison import Comparison, MetricComparison
from app.analytics.distribution import Distribution
from app.analytics.frequencies import Bin
from app.analytics.mastery_history import Point, Summary
from app.analytics.read_history import MasteryHistory
from app.analytics.two_samples import ConfidenceInterval, Difference, Effect, MannWhitneyTest, Sample, TwoSamples, WelchTest
from app.analytics.weekly_means import Week
from app.audit.entry import Entry
from app.mastery.formula import Components, Contribution, Level, Weights
from app.mastery.query_mastery import Standing
from app.mastery.rankings import Metric
from app.predictions.at_risk_page import StudentAtRisk
from app.predictions.error_quantiles import Interval
from app.predictions.forecast import Warned
from app.predictions.intervention import Reason
from app.predictions.predict_next_week import NextWeek
from app.predictions.predict_trajectory import FuturePoint, PastPoint, Trajectory
from app.recommendations.advice import Advice, WordedRecommendation
from app.recommendations.learning_path import LearningPath, Step, StudyDay, Task

FIELDS: dict[type, type[fields.Field[Any]]] = {
    float: fields.Float,
    int: fields.Integer,
    bool: fields.Boolean,
    str: fields.String,
    date: fields.Date,
    dict: fields.Nested,
    list: fields.List,
    Interval: fields.Nested,
    Summary: fields.Nested,
    NewEvidence: fields.Nested,
    Exercises: fields.Nested,
    Distribution: fields.Nested,
    ComparedCohort: fields.Nested,
    **dict.fromkeys((Sample, ConfidenceInterval, Difference, Effect, WelchTest, MannWhitneyTest), fields.Nested),
}


def parts(hint: Any) -> tuple[Any, bool]:
    """The type without None, and whether None is allowed."""
    allowed = get_args(hint) if type(None) in get_args(hint) else ()
    (kind,) = [each for each in allowed if each is not type(None)] or [hint]
    return kind, bool(allowed)


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        (Calculation, Standing),
        (ContributionAnswer, Contribution),
        (NextWeekForecast, NextWeek),
        (TrajectoryForecast, Trajectory),
        (IntervalAnswer, Interval),
        (PastDay, PastPoint),
        (FutureDay, FuturePoint),
        (ReasonAnswer, Reason),
        (WarningAnswer, Warned),
        (StudentAtRiskAnswer, StudentAtRisk),
        (CohortComparisonAnswer, CohortComparison),
        (ComparedCohortAnswer, ComparedCohort),
        (LevelShareAnswer, LevelShare),
        (TwoSamplesAnswer, TwoSamples),
        (SampleAnswer, Sample),
        (ConfidenceIntervalAnswer, ConfidenceInterval),
        (DifferenceAnswer, Difference),
        (EffectAnswer, Effect),
        (WelchTestAnswer, WelchTest),
        (MannWhitneyTestAnswer, MannWhitneyTest),
        (HistoryAnswer, MasteryHistory),
        (ChangesAnswer, Changes),
        (ComponentChangeAnswer, ComponentChange),
        (PartAnswer, Part),
        (NewEvidenceAnswer, NewEvidence),
        (ExercisesAnswer, Exercises),
        (PointAnswer, Point),
        (SummaryAnswer, Summary),
        (BinAnswer, Bin),
        (WeekAnswer, Week),
        (AdviceAnswer, Advice),
        (RecommendationAnswer, WordedRecommendation),
        (PathAnswer, LearningPath),
        (StepAnswer, Step),
        (StudyDayAnswer, StudyDay),
        (TaskOfDay, Task),
        (ComparisonData, Comparison),
        (MetricComparisonAnswer, MetricComparison),
        (DistributionAnswer, Distribution),
    ],
)
def test_each_field_has_the_type_it_has_in_the_engine(schema: type[Schema], type_: type) -> None:
    shown, hints = schema().fields, get_type_hints(type_)
    assert shown.keys() == hints.keys()
    for name, hint in hints.items():
        kind, may_be_null = parts(hint)
        assert shown[name].allow_none == may_be_null, name
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            choices = [each.choices for each in shown[name].validators if isinstance(each, validate.OneOf)]
            assert choices == [list(kind)], name
        else:
            assert isinstance(shown[name], FIELDS[get_origin(kind) or kind]), name


@pytest.mark.parametrize(
    ("schema", "names"), [(ComponentScores, Components), (ComponentWeights, Weights), (BreakdownAnswer, Components)]
)
def test_what_is_told_of_each_component(schema: type[Schema], names: Any) -> None:
    assert tuple(schema().fields) == names._fields


def test_what_is_compared() -> None:
    """Each metric; and each level of mastery."""
    assert list(ComparedMetrics().fields) == list(CohortMetrics().fields) == list(Metric)
    assert list(LevelsAnswer().fields) == list(Level)


def test_an_entry_of_the_trail_is_shown_whole() -> None:
    """All fields are shown, except the prefixes of pseudonyms; their number is shown instead."""
    assert set(AuditEntry().fields) == {*Entry.__struct_fields__} - {"whose_others"} | {"students"}
