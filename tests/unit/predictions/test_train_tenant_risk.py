"""The risk of a tenant's students is learned from days whose outcome lies before the days of its test."""

import numpy as np
import pytest

from app.predictions.base_risk import base_risk_of, inactive_days
from app.predictions.forecast_errors import FEWEST_FORECASTS
from app.predictions.risk import AT_RISK_BELOW, RISK_DAYS
from app.predictions.risk_measures import log_loss
from app.predictions.train_model import FEWEST_TRAINING_ORIGINS
from app.predictions.train_tenant_risk import (
    RiskDrawn,
    drawn_risk,
    tenant_risk_steps,
    train_tenant_risk,
)
from tests.unit.predictions.cohorts import random_history

RETENTION, DAYS = 90, 89


def drawn(students: int, seed: int = 0, to_test: int = 10_000) -> RiskDrawn:
    found = drawn_risk(random_history(students, DAYS, seed), RETENTION, 1, to_test, seed)
    assert found is not None
    return found


def test_which_days_train_and_test() -> None:
    """Of T = 88: the test is T − 27 … T − 14, the training ends on T − 42, so its outcomes are known before the test begins."""
    found = drawn(100)
    assert set(found.learned_from.all.column.tolist()) == set(range(35, 47))
    assert set(found.tested_on.column.tolist()) == set(range(61, 75))
    assert found.learned_from.all.column.max() + RISK_DAYS < found.tested_on.column.min()
    assert set(found.tested_on.outcome.tolist()) == {0.0, 1.0}


def test_the_rule_is_that_of_the_same_student_and_day() -> None:
    """Mastery below 0.5, and nothing for a week."""
    of = (found := drawn(100, to_test=500)).tested_on
    quiet = inactive_days(of) >= 7
    assert len(found.rule) == 500
    np.testing.assert_array_equal(found.rule, (of.score < AT_RISK_BELOW) & quiet)
    assert 0 < found.rule.mean() < 1


def test_the_days_without_activity() -> None:
    """They are what the table is asked for; of students without any, the days without evidence."""
    history = random_history(30, DAYS)
    of = drawn(30).tested_on
    column = of.column
    expected = history.inactivity(column - RETENTION + 1, column)[of.student, np.arange(len(column))]
    np.testing.assert_array_equal(inactive_days(of), expected)
    assert ((base_risk_of(of) > 0) & (base_risk_of(of) < 1)).all()


def test_a_history_that_is_too_short() -> None:
    """There is no day to learn from; one day more, and there is."""
    shortest = 35 + RISK_DAYS + 14 + RISK_DAYS + 1
    assert drawn_risk(random_history(5, shortest - 1), RETENTION, 1, 100, 0) is None
    assert drawn_risk(random_history(5, shortest), RETENTION, 1, 100, 0) is not None


@pytest.mark.parametrize(
    ("learned_from", "tested_on"), [(FEWEST_TRAINING_ORIGINS, FEWEST_FORECASTS - 1), (999, FEWEST_FORECASTS)]
)
def test_too_little(learned_from: int, tested_on: int) -> None:
    """There is no model then, whichever of both is missing; and no step is announced."""
    enough = drawn(120)
    some = np.arange(learned_from)
    of = enough.tested_on.take(np.arange(tested_on))
    learning = enough.learned_from._replace(real=enough.learned_from.real.take(some), all=enough.learned_from.all.take(some))
    cohorts = {"c": RiskDrawn(learning, of, enough.rule[:tested_on])}
    assert (train_tenant_risk(cohorts), tenant_risk_steps(cohorts), train_tenant_risk({})) == (None, 0, None)


def test_what_is_trained_is_tested() -> None:
    """On the days of all cohorts, by the model that was trained, in as many steps as were announced."""
    cohorts = {"a": drawn(100), "b": drawn(60, seed=1), "tiny": drawn(3, seed=2)}
    steps: list[None] = []
    trained = train_tenant_risk(cohorts, lambda: steps.append(None))
    assert trained is not None
    assert len(steps) == tenant_risk_steps(cohorts)
    test = trained.test
    assert test.tested == sum(len(each.rule) for each in cohorts.values())
    outcome = np.concatenate([each.tested_on.outcome for each in cohorts.values()])
    made = np.concatenate([trained.model.probability(each.tested_on.features) for each in cohorts.values()])
    assert (test.at_risk, test.learned.log_loss) == (int(outcome.sum()), log_loss(outcome, made))
    assert test.answers is (log_loss(outcome, made) < (test.base.log_loss or 0))
