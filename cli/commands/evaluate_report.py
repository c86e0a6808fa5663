"""The results of ``mastery evaluate``: as numbers that JSON can have, and as tables."""

from collections.abc import Iterator, Mapping
from functools import reduce

from msgspec import Struct
from rich.table import Table

from app.mastery.formula import DECIMALS
from app.predictions.back_test import WEEKLY_CHOICE, CohortResult, Errors
from app.predictions.event_history import Cohort
from app.predictions.evidence_groups import describe
from app.predictions.features import HORIZON_DAYS
from app.predictions.forecast_errors import BASE, LAST_VALUE, LEARNED, ForecastErrors
from app.predictions.learned_model import INTERVAL_LEVEL
from cli.commands.console import table_of_figures
from cli.commands.evaluate_risk import RiskReport

# Groups with fewer forecasts than this are not judged.
FEWEST_IN_GROUP = 500


class Measures(Struct, frozen=True):
    """How good a method's forecasts are.

    Attributes:
        forecasts: how many.
        mae, rmse: mean absolute error, and root of the mean squared error, of scores 0..1.
        within_010: the share within ±0.10.
        interval_coverage: the share of outcomes inside the interval; None for methods without one.
        mae_ratio, rmse_ratio: relative to those of "last value"; None if that has no error.
    """

    forecasts: int
    mae: float
    rmse: float
    within_010: float
    interval_coverage: float | None
    mae_ratio: float | None
    rmse_ratio: float | None


class CohortReport(Struct, frozen=True):
    """One cohort's results, or those of all: by method, of all forecasts and of students with all components."""

    tenant_id: str
    cohort_id: str
    students: int
    methods: dict[str, Measures]
    all_components: dict[str, Measures]
    answered_by: dict[str, int]


class GroupReport(Struct, frozen=True):
    """How often the outcome was inside the interval of the weekly choice, in a group of evidence."""

    group: str
    forecasts: int
    interval_coverage: float


class Report(Struct, frozen=True):
    """The results: ``interval_level`` is the share of outcomes that intervals aim at."""

    horizon_days: int
    interval_level: float
    overall: CohortReport
    cohorts: list[CohortReport]
    groups: list[GroupReport]
    risk: list[RiskReport]


def report(results: Mapping[Cohort, CohortResult], risk: list[RiskReport]) -> Report:
    """Sum up the results of all cohorts; of at least one."""
    every = list(results.values())
    answered: dict[str, int] = {}
    for result in every:
        for method, number in result.answered.items():
            answered[method] = answered.get(method, 0) + number
    overall = CohortResult(
        sum(result.students for result in every),
        reduce(_plus, (result.errors for result in every)),
        reduce(_plus, (result.complete for result in every)),
        {},
        answered,
    )
    groups: dict[int, ForecastErrors] = {}
    for result in every:
        for group, errors in result.groups.items():
            groups[group] = groups.get(group, ForecastErrors()).plus(errors)
    return Report(
        HORIZON_DAYS,
        INTERVAL_LEVEL,
        _of(Cohort("", "all"), overall),
        [_of(cohort, result) for cohort, result in results.items()],
        [
            GroupReport(describe(group), found.number, round(found.interval_coverage, DECIMALS))
            for group, found in sorted(groups.items())
            if found.number >= FEWEST_IN_GROUP
        ],
        risk,
    )


def tables(found: Report) -> Iterator[Table]:
    """The results for a terminal: all methods, each cohort, and the groups whose coverage is furthest from the aim."""
    methods = table_of_figures(
        ("method",),
        ("forecasts", "MAE", "RMSE", "within ±0.10", "coverage", "MAE ratio", "RMSE ratio"),
        f"Forecasts {found.horizon_days} days ahead: {found.overall.students:,} students of {len(found.cohorts):,} cohorts",
    )
    for title, of in (("", found.overall.methods), (", all components", found.overall.all_components)):
        for name, measures in of.items():
            methods.add_row(f"{name}{title}", f"{measures.forecasts:,}", *_cells(measures))
    yield methods
    cohorts = table_of_figures(
        ("cohort", "method"),
        ("forecasts", "MAE", "RMSE", "within ±0.10", "coverage", "MAE ratio", "RMSE ratio"),
        f"Each cohort, by models that have not seen it; ratios to “{LAST_VALUE}”",
    )
    for cohort in found.cohorts:
        for name in (LAST_VALUE, BASE, LEARNED, WEEKLY_CHOICE):
            if name in cohort.methods:
                measures = cohort.methods[name]
                label = f"{cohort.tenant_id}/{cohort.cohort_id}" if name == LAST_VALUE else ""
                cohorts.add_row(label, name, f"{measures.forecasts:,}", *_cells(measures))
    yield cohorts
    groups = table_of_figures(
        ("components; trend; history",),
        ("forecasts", "coverage"),
        f"Groups of evidence whose intervals cover least; the aim is {found.interval_level:.0%}",
    )
    for group in sorted(found.groups, key=lambda each: each.interval_coverage)[:5]:
        groups.add_row(group.group, f"{group.forecasts:,}", f"{group.interval_coverage:.1%}")
    yield groups


def _plus(one: Errors, other: Errors) -> Errors:
    return {name: one.get(name, ForecastErrors()).plus(other.get(name, ForecastErrors())) for name in {**one, **other}}


def _of(cohort: Cohort, result: CohortResult) -> CohortReport:
    methods, complete = (_measures(errors, result) for errors in (result.errors, result.complete))
    return CohortReport(cohort.tenant, cohort.name, result.students, methods, complete, result.answered)


def _measures(errors: Errors, result: CohortResult) -> dict[str, Measures]:
    last = errors[LAST_VALUE]
    return {
        name: Measures(
            each.number,
            round(each.mae, DECIMALS),
            round(each.rmse, DECIMALS),
            round(each.within_010, DECIMALS),
            round(each.interval_coverage, DECIMALS) if name in result.answered or name == WEEKLY_CHOICE else None,
            round(each.mae / last.mae, DECIMALS) if last.mae else None,
            round(each.rmse / last.rmse, DECIMALS) if last.rmse else None,
        )
        for name, each in errors.items()
        if each.number
    }


def _cells(measures: Measures) -> list[str]:
    coverage = "-" if measures.interval_coverage is None else f"{measures.interval_coverage:.1%}"
    ratios = ["-" if ratio is None else f"{ratio:.3f}" for ratio in (measures.mae_ratio, measures.rmse_ratio)]
    return [f"{measures.mae:.4f}", f"{measures.rmse:.4f}", f"{measures.within_010:.1%}", coverage, *ratios]
