"""How far forecasts were off, from sums by day and model; nothing that tells much about few students."""

import pytest

from app.predictions import forecast_accuracy
from app.predictions.accuracy_store import Sums
from app.predictions.forecast_accuracy import (
    AccuracyReport,
    accuracies,
    accuracy_of,
    cohorts_report,
    tenant_report,
)
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.recorded_forecast import Origin

Stored = dict[str, Sums]
FIVE = ForecastErrors(5, 0.5, 0.05, 3, 4)


class Store:
    """Sums of cohorts, the tenant's being those of ""."""

    def __init__(self, sums: Stored) -> None:
        self._sums = sums

    def of_tenant(self, _tenant: str, _today: int) -> Sums:
        return self._sums[""]

    def of_cohorts(self, _tenant: str, cohorts: list[str], _today: int) -> list[tuple[str, Sums]]:
        return [(cohort, self._sums.get(cohort, {})) for cohort in cohorts]


def sums(*numbers: int, model: str = "base", version: str = "1") -> Sums:
    """Of so many forecasts on consecutive days."""
    return {Origin(day, model, version): ForecastErrors(number) for day, number in enumerate(numbers, 100)}


def names(report: AccuracyReport) -> list[str]:
    return [cohort for cohort, _ in report.cohorts]


def test_accuracy() -> None:
    """Sums of all days and models; 0.5 over 5 and 0.1 over 5 forecasts are 0.06."""
    found = accuracy_of({Origin(100, "base", "1"): FIVE, Origin(103, "learned", "7"): ForecastErrors(5, 0.1, 0.002, 5, 4)})
    assert found is not None
    assert (found.days, found.since, found.until, found.errors.number) == (2, 100, 103, 10)
    assert (found.errors.mae, found.errors.within_010, found.errors.interval_coverage) == pytest.approx((0.06, 0.8, 0.8))


@pytest.mark.parametrize(
    ("numbers", "is_shown"), [((5,), True), ((4,), False), ((4, 4, 4), False), ((1, 5, 1), True), ((), False)]
)
def test_few_students(numbers: tuple[int, ...], is_shown: bool) -> None:
    """Four students with a forecast on each of many days are still four: one day must have five."""
    assert (accuracy_of(sums(*numbers)) is not None) is is_shown


def test_a_student_counts_once_a_day_whatever_the_model() -> None:
    """So forecasts of one day by two versions are of different students."""
    assert accuracy_of({**sums(3), **sums(2, version="2")}) is not None


def test_models() -> None:
    """Each version by itself; kinds of all versions together; the few of a version are in the kind's total."""
    total = {**sums(5, 6), **sums(1, version="2"), **sums(0, 5, model="learned", version="9")}
    found = tenant_report("t", [], store=Store({"": total}), today=200, limit=10)  # type: ignore[arg-type]
    assert [(each.model, each.model_version, each.accuracy.errors.number) for each in found.models] == [
        ("base", "1", 11),
        ("learned", "9", 5),
    ]
    assert {name: each.errors.number for name, each in accuracies(total).items()} == {"base": 12, "learned": 5}


def test_many_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those with the most forecasts are shown, still by name."""
    monkeypatch.setattr(forecast_accuracy, "MOST_MODELS", 2)
    total = {**sums(9, version="1"), **sums(5, version="2"), **sums(7, version="3")}
    found = tenant_report("t", [], store=Store({"": total}), today=200, limit=10)  # type: ignore[arg-type]
    assert [each.model_version for each in found.models] == ["1", "3"]
    assert found.overall is not None
    assert found.overall.errors.number == 21


def test_a_tenant() -> None:
    """Overall counts students without a cohort, and those of cohorts that are too small to be shown."""
    store = Store({"": sums(12), "c-1": sums(5), "c-2": sums(1)})
    found = tenant_report("t", ["c-1", "c-2", "c-3"], store=store, today=200, limit=10)  # type: ignore[arg-type]
    assert (names(found), found.following, found.has_scores) == (["c-1"], None, True)
    assert found.overall is not None
    assert found.overall.errors.number == 12


def test_cohorts() -> None:
    """Overall are the given cohorts only, also those of other pages."""
    store = Store({"": sums(99), **{f"c-{number}": sums(5) for number in range(5)}})
    cohorts = [f"c-{number}" for number in range(4)]
    first = cohorts_report("t", cohorts, store=store, today=200, limit=3)  # type: ignore[arg-type]
    second = cohorts_report("t", cohorts, store=store, today=200, limit=3, after=first.following or "")  # type: ignore[arg-type]
    assert (names(first), first.following) == (["c-0", "c-1", "c-2"], "c-2")
    assert (names(second), second.following) == (["c-3"], None)
    assert first.overall == second.overall == accuracy_of(sums(20))


def test_nothing() -> None:
    """Before anything is scored, and where it is of too few."""
    for stored, has_scores in (({}, False), (sums(1), True)):
        found = tenant_report("t", [], store=Store({"": stored}), today=200, limit=10)  # type: ignore[arg-type]
        assert found == AccuracyReport(None, [], [], None, has_scores)
