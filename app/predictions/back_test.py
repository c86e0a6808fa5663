"""Rolling-origin back-test: each cohort is forecast, from every day, by models that have not seen it. Pure.

A forecast looks at nothing that came after its day. The weekly choice is the best method so far: chosen each week from the
forecasts whose day had come by then. It shows what such models can do; an engine has only its own retained days to learn from,
and decides by ``gate.py``.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from app.mastery.formula import Components
from app.predictions.daily_history import DailyHistory, Floats, Ints, Mask
from app.predictions.event_history import Cohort
from app.predictions.evidence_groups import GROUPS_PER_SET
from app.predictions.features import HORIZON_DAYS, outlook
from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LAST_VALUE, LEARNED, ForecastErrors, best_method, errors_of
from app.predictions.learned_model import Forecasts, LearnedModel
from app.predictions.origins import Origins, joined, origins_of, outcomes, row_blocks, some_students
from app.predictions.past_errors import Quantiles, error_quantiles
from app.predictions.peers import CohortDays, peers
from app.predictions.simple_forecasts import holt, line
from app.predictions.stored_model import base_points
from app.predictions.train_model import TRAINING_ORIGINS, Examples, examples, train_model, training_steps

OLS_14, OLS_30, HOLT, WEEKLY_CHOICE = "OLS 14 days", "OLS 30 days", "Holt", "weekly choice"
ALL_METHODS = (LAST_VALUE, OLS_14, OLS_30, HOLT, BASE, LEARNED, WEEKLY_CHOICE)

# The weekly choice looks at the errors of these last days, and is made anew every week.
DECISION_DAYS = 7
DECIDING_DAYS = 56
_ALL_COMPONENTS = (1 << len(Components._fields)) - 1

Errors = dict[str, ForecastErrors]


class CohortResult(NamedTuple):
    """The errors of a cohort's forecasts.

    Attributes:
        students: how many the cohort has.
        errors: by method; without LEARNED if there is no other cohort to learn from.
        complete: the same of forecasts for students with evidence in all components.
        groups: of the weekly choice, by group of evidence.
        answered: how many forecasts of the weekly choice are of each method.
    """

    students: int
    errors: Errors
    complete: Errors
    groups: dict[int, ForecastErrors]
    answered: dict[str, int]


class _Methods(NamedTuple):
    """What answers for a cohort, learned from others; ``elsewhere`` has the errors in these."""

    last: Quantiles
    base: Quantiles
    learned: LearnedModel | None
    elsewhere: Errors


class _Forecast(NamedTuple):
    """A cohort's origins, each method's forecasts, and the simple ones, which have no interval.

    ``elsewhere`` has the errors of the methods in other cohorts.
    """

    of: Origins
    methods: dict[str, Forecasts]
    simple: dict[str, Floats]
    elsewhere: Errors


def back_test(
    histories: Mapping[Cohort, DailyHistory],
    retention_days: int,
    on_step: Callable[[], None] = lambda: None,
    training_origins: int = TRAINING_ORIGINS,
) -> dict[Cohort, CohortResult]:
    """Forecast every cohort by a model of all others, which learns from about ``training_origins``.

    ``on_step`` is called after each of the ``back_test_steps``.

    Returns:
        The result of each cohort with a day whose forecast can be checked.
    """
    learned_from: dict[Cohort, Examples] = {}
    each = training_origins // max(1, len(histories) - 1)
    for seed, (cohort, history) in enumerate(histories.items()):
        found = examples(history, retention_days, np.arange(history.days), each, seed)
        if len(found.real.score):
            learned_from[cohort] = found
        on_step()
    results = {}
    for cohort, own in learned_from.items():
        others = {str(name): seen for name, seen in learned_from.items() if name != cohort}
        methods = _methods(others, on_step) if others else _methods_alone(own)
        results[cohort] = _result(histories[cohort], _forecast(histories[cohort], retention_days, methods))
        on_step()
    return results


def back_test_steps(cohorts: int) -> int:
    """How many steps a back-test of this number of cohorts takes."""
    training = training_steps(cohorts - 1) if cohorts > 1 else 0
    return cohorts * (training + 2)


def _methods(others: Mapping[str, Examples], on_step: Callable[[], None]) -> _Methods:
    """What answers for a cohort, from what is known of others."""
    trained = train_model(others, on_step)
    unseen, outcome = trained.unseen, trained.unseen.outcome
    base = base_points(unseen)
    errors = {
        LAST_VALUE: errors_of(unseen.score, outcome),
        BASE: errors_of(base, outcome),
        LEARNED: errors_of(trained.forecasts.point, outcome),
    }
    return _Methods(
        error_quantiles(unseen.score, outcome, unseen.group, trained.part),
        error_quantiles(base, outcome, unseen.group, trained.part),
        trained.model,
        errors,
    )


def _methods_alone(seen: Examples) -> _Methods:
    """What answers for the only cohort: nothing that learns. The intervals know its errors, for want of others."""
    last, base = (
        error_quantiles(point, seen.real.outcome, seen.real.group, np.zeros(len(point), np.int64))
        for point in (seen.real.score, base_points(seen.real))
    )
    return _Methods(last, base, None, {})


def _forecast(history: DailyHistory, retention_days: int, methods: _Methods) -> _Forecast:
    """Forecasts of the cohort from every day, some students at a time."""
    columns = np.arange(history.days)
    yesterday: CohortDays = [None, *peers(history, retention_days, columns)[:-1]]
    parts = [_forecast_some(some_students(history, rows), retention_days, methods, yesterday) for rows in row_blocks(history)]
    answers = {
        name: Forecasts._make(np.concatenate(values) for values in zip(*(part.methods[name] for part in parts), strict=True))
        for name in parts[0].methods
    }
    simple = {name: np.concatenate([part.simple[name] for part in parts]) for name in parts[0].simple}
    return _Forecast(joined([part.of for part in parts]), answers, simple, methods.elsewhere)


def _forecast_some(history: DailyHistory, retention_days: int, methods: _Methods, yesterday: CohortDays) -> _Forecast:
    columns = np.arange(history.days)
    seen = outlook(history, retention_days, columns, yesterday)
    of = origins_of(seen, outcomes(history, retention_days, columns), columns).with_outcome()
    at = of.student, of.column
    simple = {
        OLS_14: line(*(values[at] for values in (seen.trend.mean, seen.trend.slope, seen.trend.number))),
        OLS_30: line(*(values[at] for values in (seen.regression.mean, seen.regression.slope, seen.regression.number))),
        HOLT: holt(seen.score, seen.present)[at],
    }
    answers = {
        LAST_VALUE: methods.last.around(of.score, of.group),
        BASE: methods.base.around(base_points(of), of.group),
    }
    if methods.learned is not None:
        answers[LEARNED] = methods.learned.forecast(of)
    return _Forecast(of, answers, simple, methods.elsewhere)


def _result(history: DailyHistory, made: _Forecast) -> CohortResult:
    of = made.of
    chosen = _chosen(made, history.days)
    weekly = Forecasts._make(
        np.select([chosen == at for at in range(len(made.methods))], values)
        for values in zip(*made.methods.values(), strict=True)
    )
    methods = made.methods | {WEEKLY_CHOICE: weekly}

    def errors(rows: Mask | slice) -> Errors:
        found = {name: errors_of(point[rows], of.outcome[rows]) for name, point in made.simple.items()}
        found |= {
            name: errors_of(each.point[rows], of.outcome[rows], each.lower[rows], each.upper[rows])
            for name, each in methods.items()
        }
        return {name: found[name] for name in ALL_METHODS if name in found}

    groups = {group: errors(of.group == group)[WEEKLY_CHOICE] for group in np.unique(of.group).tolist()}
    answered = {name: int((chosen == at).sum()) for at, name in enumerate(made.methods)}
    return CohortResult(
        history.students, errors(slice(None)), errors(of.group // GROUPS_PER_SET == _ALL_COMPONENTS), groups, answered
    )


def _chosen(made: _Forecast, days: int) -> Ints:
    """Decide weekly which method answers, from what is known by then.

    What is known of other cohorts counts as much as the last weeks of this one: in quiet weeks, all methods are good, and which
    one is best then says little about the weeks in which scores change.

    Returns:
        For each origin, the position of its method in ``made.methods``.
    """
    names = list(made.methods)
    at_first = best_method(made.elsewhere) if made.elsewhere else None
    method = names.index(at_first or BASE)
    chosen = np.zeros(len(made.of.score), np.int64)
    for begin in range(0, days, DECISION_DAYS):
        due = made.of.column + HORIZON_DAYS
        known = np.flatnonzero((due < begin) & (due >= begin - DECIDING_DAYS))
        past = {name: errors_of(each.point[known], made.of.outcome[known]) for name, each in made.methods.items()}
        if len(known) >= FEWEST_FORECASTS:
            past |= {name: past[name].plus(errors.scaled(len(known))) for name, errors in made.elsewhere.items()}
            method = names.index(best_method(past) or BASE)
        chosen[(made.of.column >= begin) & (made.of.column < begin + DECISION_DAYS)] = method
    return chosen
