"""Formats learned models for operators: tables, and numbers that JSON can have."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from app.clock import day_date
from app.mastery.formula import DECIMALS
from app.predictions.forecast_errors import LAST_VALUE, LEARNED, ForecastErrors
from app.predictions.model_store import Attempt
from app.predictions.risk import RISK_DAYS
from app.predictions.risk_gate import RiskMeasures, RiskTest
from app.predictions.stored_model import BackTest, ModelSummary
from cli.commands.console import table_of_figures

ALL = "all"
OWN_INTERVALS = "with intervals from these students' past errors"
TABLE = "table"  # of ``base_risk.py``


class Measures(Struct, frozen=True):
    """How good a method's forecasts were: errors of scores 0..1, and the share of outcomes inside the interval."""

    forecasts: int
    mae: float
    rmse: float
    within_010: float
    interval_coverage: float


class CohortReport(Struct, frozen=True):
    """A back-test: which method answers for a cohort, and what each of them reached there."""

    cohort_id: str
    answered_by: str
    methods: dict[str, Measures]


class ModelReport(Struct, frozen=True):
    """A model: how it was made, and its back-test on all students and by cohort; of risk, None without a learned risk."""

    version: str
    tenant_id: str
    trained_at: datetime
    answers: bool
    students: int
    origins: int
    overall: CohortReport
    cohorts: list[CohortReport]
    risk: RiskTest | None


def report(of: ModelSummary, promoted: str | None) -> ModelReport:
    """The model for programs; ``promoted`` is the version that answers."""
    cohorts = [_cohort(name, tested) for name, tested in of.cohorts.items()]
    overall, answers = _cohort(ALL, of.overall), of.version == promoted
    return ModelReport(
        of.version, of.tenant, of.trained_at, answers, of.students, of.origins, overall, cohorts, _rounded(of.risk)
    )


def versions_table(found: Mapping[str, ModelSummary | None], promoted: str | None) -> Table:
    """Models for a terminal: the method and errors overall, and whether the risk is learned or that of the table."""
    headings = ("trained (UTC)", "students", "origins", "method overall", "MAE", "ratio to last value", "risk")
    view = table_of_figures(("version", "answers"), headings)
    for version, each in found.items():
        cells = ["damaged", *["-"] * (len(headings) - 1)] if each is None else _version_cells(each)
        view.add_row(version, "yes" if version == promoted else "", *map(Text, cells))
    return view


def tests_table(of: ModelSummary) -> Table:
    """The back-test for a terminal: a row for each cohort and method; * marks the one that answers."""
    view = table_of_figures(("cohort", "method"), ("forecasts", "MAE", "RMSE", "within ±0.10", "coverage"))
    reports = report(of, None)
    for each in (reports.overall, *reports.cohorts):
        for number, (method, measures) in enumerate(each.methods.items()):
            marked = f"{method} *" if method == each.answered_by else method
            figures = (
                f"{measures.mae:.4f}",
                f"{measures.rmse:.4f}",
                f"{measures.within_010:.1%}",
                f"{measures.interval_coverage:.1%}",
            )
            view.add_row("" if number else each.cohort_id, marked, f"{measures.forecasts:,}", *figures)
    return view


def risk_tables(of: ModelSummary) -> Iterator[Table]:
    """The back-test of risk for a terminal: a row per estimate, * for the one that answers. None without a learned risk."""
    if (test := _rounded(of.risk)) is None:
        return
    title = f"At risk {RISK_DAYS} days later: {test.at_risk:,} of {test.tested:,} students and days"
    view = table_of_figures(("estimate",), ("average precision", "calibration error", "log loss"), title)
    for name, measures in (("rule", test.rule), (TABLE, test.base), (LEARNED, test.learned)):
        figures = measures.average_precision, measures.calibration_error, measures.log_loss
        cells = ["-" if each is None else f"{each:.3f}" for each in figures]
        view.add_row(f"{name} *" if name == _risk_by(of) else name, *cells)
    yield view


def ending(of: ModelSummary, promoted: str | None) -> Iterator[str]:
    """How a model was made, and whether it answers, line by line."""
    yield f"{of.version}, trained on {of.origins:,} days of {of.students:,} students until {day_date(of.last_day)}"
    if of.version != promoted:
        yield "It does not answer."
    elif of.learned_answers:
        yield "It answers; in each cohort by the method with the *."
    elif of.risk_answers:
        yield f"It answers for the risk only; scores are forecast by the base model, {OWN_INTERVALS}."
    else:
        yield f"It answers by the base model everywhere, {OWN_INTERVALS}."


def latest_training(attempt: Attempt | None) -> str:
    """How the latest training ended."""
    return "no training has ended yet" if attempt is None else f"latest training: {day_date(attempt.day)}, {attempt.outcome}"


def _version_cells(of: ModelSummary) -> list[str]:
    method = of.overall.answerer
    mae, last = of.overall.errors[method].mae, of.overall.errors[LAST_VALUE].mae
    ratio = f"{mae / last:.3f}" if last else "-"
    return [f"{of.trained_at:%Y-%m-%d %H:%M}", f"{of.students:,}", f"{of.origins:,}", method, f"{mae:.4f}", ratio, _risk_by(of)]


def _risk_by(of: ModelSummary) -> str:
    return LEARNED if of.risk_answers else TABLE


def _cohort(name: str, tested: BackTest) -> CohortReport:
    return CohortReport(name, tested.answerer, {method: _measured(errors) for method, errors in tested.errors.items()})


def _rounded(test: RiskTest | None) -> RiskTest | None:
    """The same with the decimals that are shown."""

    def rounded(of: RiskMeasures) -> RiskMeasures:
        figures = of.average_precision, of.calibration_error, of.log_loss
        return RiskMeasures(*(None if each is None else round(each, DECIMALS) for each in figures))

    if test is None:
        return None
    return msgspec.structs.replace(test, base=rounded(test.base), rule=rounded(test.rule), learned=rounded(test.learned))


def _measured(errors: ForecastErrors) -> Measures:
    shares = (errors.mae, errors.rmse, errors.within_010, errors.interval_coverage)
    return Measures(errors.number, *(round(each, DECIMALS) for each in shares))
