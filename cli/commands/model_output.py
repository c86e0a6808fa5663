"""Formats learned models for operators: tables, and numbers that JSON can have."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from app.clock import day_date
from app.mastery.formula import DECIMALS
from app.predictions.forecast_errors import LAST_VALUE, ForecastErrors
from app.predictions.model_store import Attempt
from app.predictions.stored_model import BackTest, ModelSummary

ALL = "all"


class Measures(Struct, frozen=True):
    """How good a method's forecasts were: errors of scores 0..1, and the share of outcomes inside the interval."""

    forecasts: int
    mae: float
    rmse: float
    within_010: float
    coverage: float


class CohortReport(Struct, frozen=True):
    """A back-test: which method answers for a cohort, and what each of them reached there."""

    cohort_id: str
    answered_by: str
    methods: dict[str, Measures]


class ModelReport(Struct, frozen=True):
    """A model: how it was made, and its back-test on all students and by cohort."""

    version: str
    tenant_id: str
    trained_at: datetime
    answers: bool
    students: int
    origins: int
    overall: CohortReport
    cohorts: list[CohortReport]


def report(of: ModelSummary, promoted: str | None) -> ModelReport:
    """The model for programs; ``promoted`` is the version that answers."""
    cohorts = [_cohort(name, tested) for name, tested in of.cohorts.items()]
    overall = _cohort(ALL, of.overall)
    return ModelReport(of.version, of.tenant, of.trained_at, of.version == promoted, of.students, of.origins, overall, cohorts)


def versions_table(found: Mapping[str, ModelSummary | None], promoted: str | None) -> Table:
    """Models for a terminal."""
    headings = ("trained (UTC)", "students", "origins", "best overall", "MAE", "ratio to last value")
    view = _table(("version", "answers"), headings)
    for version, each in found.items():
        cells = ["damaged", *["-"] * (len(headings) - 1)] if each is None else _version_cells(each)
        view.add_row(version, "yes" if version == promoted else "", *map(Text, cells))
    return view


def tests_table(of: ModelSummary) -> Table:
    """The back-test for a terminal: a row for each cohort and method; * marks the one that answers."""
    view = _table(("cohort", "method"), ("forecasts", "MAE", "RMSE", "within ±0.10", "coverage"))
    reports = report(of, None)
    for each in (reports.overall, *reports.cohorts):
        for number, (method, measures) in enumerate(each.methods.items()):
            marked = f"{method} *" if method == each.answered_by else method
            figures = f"{measures.mae:.4f}", f"{measures.rmse:.4f}", f"{measures.within_010:.1%}", f"{measures.coverage:.1%}"
            view.add_row("" if number else each.cohort_id, marked, f"{measures.forecasts:,}", *figures)
    return view


def ending(of: ModelSummary, promoted: str | None) -> Iterator[str]:
    """How a model was made, and whether it answers, line by line."""
    yield f"{of.version}, trained on {of.origins:,} days of {of.students:,} students until {day_date(of.last_day)}"
    if of.version == promoted:
        yield "It answers; in each cohort by the method with the *."
    elif of.is_better:
        yield "It does not answer."
    else:
        yield "It is not better than the base model, which answers."


def latest_training(attempt: Attempt | None) -> str:
    """How the latest training ended."""
    return "no training has ended yet" if attempt is None else f"latest training: {day_date(attempt.day)}, {attempt.outcome}"


def _version_cells(of: ModelSummary) -> list[str]:
    best = of.overall.answerer
    mae, last = of.overall.errors[best].mae, of.overall.errors[LAST_VALUE].mae
    ratio = f"{mae / last:.3f}" if last else "-"
    return [f"{of.trained_at:%Y-%m-%d %H:%M}", f"{of.students:,}", f"{of.origins:,}", best, f"{mae:.4f}", ratio]


def _cohort(name: str, tested: BackTest) -> CohortReport:
    return CohortReport(name, tested.answerer, {method: _measured(errors) for method, errors in tested.errors.items()})


def _measured(errors: ForecastErrors) -> Measures:
    shares = (errors.mae, errors.rmse, errors.close_share, errors.coverage)
    return Measures(errors.number, *(round(each, DECIMALS) for each in shares))


def _table(left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    view = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in left:
        view.add_column(heading, no_wrap=True)
    for heading in right:
        view.add_column(heading, justify="right")
    return view
