"""How far forecasts of mastery in a week were off, of a tenant, of cohorts, and of each model."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from app.clock import Day
from app.consent.consent import FEWEST_IN_STATISTICS
from app.predictions.accuracy_store import AccuracyStore, Sums
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.recorded_forecast import Origin

# Models of an answer, those with the most forecasts: enough to compare what a quarter of weekly training has made.
MOST_MODELS = 50


class Accuracy(NamedTuple):
    """The accuracy of some forecasts.

    Attributes:
        errors: their sums.
        days: for how many days they were made.
        since, until: the first and the last of these days.
    """

    errors: ForecastErrors
    days: int
    since: Day
    until: Day


class ModelAccuracy(NamedTuple):
    """The accuracy of the forecasts that a version of a model has made."""

    model: str
    model_version: str
    accuracy: Accuracy


class AccuracyReport(NamedTuple):
    """What a caller sees. Accuracies that would tell much about single students are missing.

    Attributes:
        overall: of all forecasts that the caller may see.
        models: of each model and version, by name; of many, those with the most forecasts.
        cohorts: of cohorts, by name.
        following: where the next page of cohorts begins; None after the last one.
        has_scores: whether any forecast was scored.
    """

    overall: Accuracy | None
    models: list[ModelAccuracy]
    cohorts: list[tuple[str, Accuracy]]
    following: str | None
    has_scores: bool


def tenant_report(
    tenant: str, cohorts: Sequence[str], *, store: AccuracyStore, today: Day, limit: int, after: str = ""
) -> AccuracyReport:
    """The accuracy over a tenant, students without a cohort too, and a page of its ``cohorts``, which are sorted."""
    page, following = _page(cohorts, limit, after)
    return _report(store.of_tenant(tenant, today), store.of_cohorts(tenant, page, today), following)


def cohorts_report(
    tenant: str, cohorts: Sequence[str], *, store: AccuracyStore, today: Day, limit: int, after: str = ""
) -> AccuracyReport:
    """The accuracy over these ``cohorts``, which are sorted, and a page of them."""
    found = list(store.of_cohorts(tenant, cohorts, today))
    page, following = _page(cohorts, limit, after)
    shown = set(page)
    total = added(chain.from_iterable(sums.items() for _, sums in found))
    return _report(total, ((cohort, sums) for cohort, sums in found if cohort in shown), following)


def added(sums: Iterable[tuple[Origin, ForecastErrors]]) -> Sums:
    """The total of sums by day and model."""
    total: defaultdict[Origin, ForecastErrors] = defaultdict(ForecastErrors)
    for origin, errors in sums:
        total[origin] = total[origin].plus(errors)
    return total


def accuracy_of(sums: Sums) -> Accuracy | None:
    """The accuracy of these forecasts; None without any, or if they may be of too few students.

    A student has one forecast a day, so a day with ``FEWEST_IN_STATISTICS`` forecasts shows that there are so many students.

    Returns:
        The accuracy.
    """
    by_day = Counter[Day]()
    for origin, errors in sums.items():
        by_day[origin.day] += errors.number
    if max(by_day.values(), default=0) < FEWEST_IN_STATISTICS:
        return None
    errors = ForecastErrors()
    for each in sums.values():
        errors = errors.plus(each)
    return Accuracy(errors, len(by_day), min(by_day), max(by_day))


def accuracies(sums: Sums) -> dict[str, Accuracy]:
    """The accuracy of each kind of model, of all its versions together."""
    of_kinds = added((origin._replace(model_version=""), errors) for origin, errors in sums.items())
    return {each.model: each.accuracy for each in _of_models(of_kinds)}


def _report(total: Sums, cohorts: Iterable[tuple[str, Sums]], following: str | None) -> AccuracyReport:
    models = _of_models(total)
    most = set(sorted(models, key=lambda each: each.accuracy.errors.number)[-MOST_MODELS:])
    rows = [(cohort, found) for cohort, sums in cohorts if (found := accuracy_of(sums))]
    return AccuracyReport(accuracy_of(total), [each for each in models if each in most], rows, following, bool(total))


def _of_models(sums: Sums) -> list[ModelAccuracy]:
    """The accuracy of each model and version that may be shown, by name."""
    found: defaultdict[tuple[str, str], dict[Origin, ForecastErrors]] = defaultdict(dict)
    for origin, errors in sums.items():
        found[origin.model, origin.model_version][origin] = errors
    of_models = ((name, accuracy_of(each)) for name, each in sorted(found.items()))
    return [ModelAccuracy(*name, accuracy) for name, accuracy in of_models if accuracy]


def _page(cohorts: Sequence[str], limit: int, after: str) -> tuple[list[str], str | None]:
    left = [cohort for cohort in cohorts if cohort > after]
    return left[:limit], left[limit - 1] if len(left) > limit else None
