"""The results of ``mastery evaluate`` about risk: as numbers that JSON can have, and as a table."""

from collections.abc import Iterator, Mapping

import numpy as np
from msgspec import Struct
from rich.table import Table

from app.mastery.formula import DECIMALS
from app.predictions.back_test_risk import RISK_TEST_DAYS, Estimated
from app.predictions.event_history import Cohort
from app.predictions.risk import RISK_DAYS
from app.predictions.risk_measures import average_precision, calibration_error
from cli.commands.console import table_of_figures


class RiskReport(Struct, frozen=True):
    """How good estimates of risk were, of a cohort or of all, on a day.

    Attributes:
        day: days after the cohort's first day.
        students: with evidence on that day.
        base_rate: the share that was at risk.
        rule_precision_recall_area, precision_recall_area: average precision of the rule and of the model, 0..1; None if nobody
            was at risk; the model's also if there was no other cohort to learn from.
        calibration_error: the expected one of the model, 0..1; None without a model.
    """

    tenant_id: str
    cohort_id: str
    day: int
    students: int
    base_rate: float
    rule_precision_recall_area: float | None
    precision_recall_area: float | None
    calibration_error: float | None


def risk_reports(results: Mapping[Cohort, Mapping[int, Estimated]]) -> list[RiskReport]:
    """Those of all cohorts together first, then of each cohort, by day."""
    of_days = {day: [days[day] for days in results.values() if day in days] for day in RISK_TEST_DAYS}
    found = [_report(Cohort("", "all"), day, _together(of_day)) for day, of_day in of_days.items() if of_day]
    return found + [_report(cohort, day, of) for cohort, days in results.items() for day, of in days.items()]


def risk_tables(reports: list[RiskReport]) -> Iterator[Table]:
    """The reports as a table; none if there are no reports."""
    if not reports:
        return
    title = f"At risk {RISK_DAYS} days later, by models that have not seen the cohort: area under precision and recall"
    table = table_of_figures(("cohort",), ("day", "students", "at risk", "rule", "model", "calibration error"), title)
    for each in reports:
        areas = (each.rule_precision_recall_area, each.precision_recall_area, each.calibration_error)
        cells = ["-" if value is None else f"{value:.3f}" for value in areas]
        name = f"{each.tenant_id}/{each.cohort_id}".lstrip("/")
        table.add_row(name, str(each.day), f"{each.students:,}", f"{each.base_rate:.1%}", *cells)
    yield table


def _together(parts: list[Estimated]) -> Estimated:
    """The students of several cohorts."""
    made = [part.probability for part in parts if part.probability is not None]
    outcome, rule = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    return Estimated(outcome, rule, np.concatenate(made) if made else None)


def _report(cohort: Cohort, day: int, of: Estimated) -> RiskReport:
    made = of.probability
    return RiskReport(
        cohort.tenant,
        cohort.name,
        day,
        len(of.outcome),
        round(float(of.outcome.mean()), DECIMALS),
        _rounded(average_precision(of.outcome, of.rule)),
        None if made is None else _rounded(average_precision(of.outcome, made)),
        None if made is None else _rounded(calibration_error(of.outcome, made)),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
