"""The back-test forecasts each cohort by models that have not seen it, and chooses the best method so far every week."""

from functools import partial
from itertools import count

import numpy as np
import pytest

from app.predictions.back_test import (
    ALL_METHODS,
    DECISION_DAYS,
    WEEKLY_CHOICE,
    CohortResult,
    _chosen,
    _Forecast,
    back_test,
    back_test_steps,
)
from app.predictions.event_history import Cohort
from app.predictions.features import HORIZON_DAYS
from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LAST_VALUE, LEARNED, ForecastErrors
from app.predictions.learned_model import Forecasts
from app.predictions.origins import Origins, origins
from tests.unit.predictions.cohorts import random_history

RETENTION, FEW = 90, 2_000
COHORTS = {Cohort("t", name): random_history(40, 60, seed) for seed, name in enumerate("abc")}


@pytest.fixture(scope="module")
def results() -> dict[Cohort, CohortResult]:
    """The back-test of three small cohorts, which takes as many steps as announced."""
    steps = count(1)
    found = back_test(COHORTS, RETENTION, partial(next, steps), FEW)
    assert next(steps) == back_test_steps(len(COHORTS)) + 1
    return found


def test_every_origin_is_forecast_by_every_method(results: dict[Cohort, CohortResult]) -> None:
    """All methods have the same forecasts: each student and day with evidence whose outcome is known."""
    for cohort, result in results.items():
        history = COHORTS[cohort]
        of = origins(history, RETENTION, np.arange(history.days), [None] * history.days).with_outcome()
        assert {name: each.number for name, each in result.errors.items()} == dict.fromkeys(ALL_METHODS, len(of.score))
        assert sum(result.answered.values()) == sum(each.number for each in result.groups.values()) == len(of.score)
        last = result.errors[LAST_VALUE]
        assert last.mae == pytest.approx(np.abs(of.score - of.outcome).mean())


def test_a_single_cohort_has_nothing_to_learn_from() -> None:
    """It is forecast by the simple methods and the base model, in the steps announced."""
    cohort, history = next(iter(COHORTS.items()))
    steps = count(1)
    (result,) = back_test({cohort: history}, RETENTION, partial(next, steps)).values()
    assert next(steps) == back_test_steps(1) + 1
    assert LEARNED not in result.errors
    assert set(result.answered) == {LAST_VALUE, BASE}


def test_a_cohort_is_forecast_by_what_others_show(results: dict[Cohort, CohortResult]) -> None:
    """Other students in another cohort change what is learned, and nothing else."""
    cohort, changed = list(COHORTS)[:2]
    again = back_test(COHORTS | {changed: random_history(40, 60, 9)}, RETENTION, training_origins=FEW)
    assert again[cohort].errors[LAST_VALUE].mae == results[cohort].errors[LAST_VALUE].mae
    assert again[cohort].errors[LEARNED].mae != results[cohort].errors[LEARNED].mae
    assert again[changed].errors[LAST_VALUE].mae != results[changed].errors[LAST_VALUE].mae


# Mean absolute errors in other cohorts.
ELSEWHERE = {LAST_VALUE: 0.05, BASE: 0.04, LEARNED: 0.03}


def forecasts_of(days: int, of_day: int, good_from: int) -> _Forecast:
    """Students whose score never changes. The learned model is wrong by 0.3 before a day, and right from then on."""
    column = np.repeat(np.arange(days), of_day)
    score = np.full(len(column), 0.5)
    nothing = np.zeros(len(column), np.int64)
    of = Origins(np.zeros((len(column), 1)), score, score, score * 0, nothing, score, nothing, column)
    learned = np.where(column < good_from, 0.8, 0.5)
    base = np.full(len(column), 0.51)
    methods = {
        name: Forecasts(point, point, point) for name, point in {LAST_VALUE: score + 0.02, BASE: base, LEARNED: learned}.items()
    }
    elsewhere = {name: ForecastErrors(1_000, mae * 1_000, mae**2 * 1_000) for name, mae in ELSEWHERE.items()}
    return _Forecast(of, methods, {}, elsewhere)


def test_what_was_wrong_in_past_weeks_does_not_answer() -> None:
    """The learned model answers at first, the base model as soon as enough errors are known: no earlier than their day."""
    made = forecasts_of(70, FEWEST_FORECASTS, good_from=1000)
    chosen = _chosen(made, 70)
    first_known = next(begin for begin in range(0, 70, DECISION_DAYS) if begin > HORIZON_DAYS)
    assert set(chosen[made.of.column < first_known].tolist()) == {2}
    assert set(chosen[made.of.column >= first_known].tolist()) == {1}


def test_quiet_weeks_say_little() -> None:
    """Where all methods are good, what was better in other cohorts goes on."""
    made = forecasts_of(70, FEWEST_FORECASTS, good_from=0)
    quiet = made.methods | {LEARNED: Forecasts._make(values + 0.011 for values in made.methods[LEARNED])}
    assert set(_chosen(made._replace(methods=quiet), 70).tolist()) == {2}
    assert set(_chosen(made._replace(methods=quiet, elsewhere={}), 70).tolist()) == {1}


def test_what_became_better_answers_again() -> None:
    """Old errors leave what is looked at."""
    made = forecasts_of(140, FEWEST_FORECASTS, good_from=20)
    assert set(_chosen(made, 140)[made.of.column >= 133].tolist()) == {2}
    assert WEEKLY_CHOICE not in made.methods
