"""Who is at risk, the rule that the model has to beat, and the calibration of probabilities."""

import numpy as np
import pytest

from app.mastery.facts import DayFacts
from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.daily_history import COMPLETION, QUALITY, QUIZ, DailyHistory, Floats, components, history_of, mastery
from app.predictions.risk import (
    AT_RISK_BELOW,
    RISK_DAYS,
    RiskModel,
    Scaling,
    logistic,
    risk_outcomes,
    scaling_of,
    simple_rule,
)
from tests.unit.predictions.cohorts import LAST, random_history

RETENTION, DAYS = 90, 60


def student(active: set[int], completed: int = 10) -> DailyHistory:
    """One student, with all of ten exercises on day 0 unless told otherwise, a perfect quiz, and activity on some days."""
    facts = {name: np.zeros((1, DAYS), np.int64) for name in DayFacts.__struct_fields__}
    facts["completed"][0, 0], facts["total"][0, 0] = completed, 10
    facts["correct"][0, 0] = facts["asked"][0, 0] = 10
    facts["active"][0, sorted(active)] = 1
    return history_of(facts, LAST)


def outcome(of: DailyHistory, column: int) -> float:
    return float(risk_outcomes(of, RETENTION, np.array([column]))[0, 0])


def test_mastery_two_weeks_later_counts_as_seen_then() -> None:
    """Not the mastery of the day, and with what has left the retention window by then."""
    history = random_history(30, DAYS)
    columns = np.arange(DAYS - RISK_DAYS)
    later = columns + RISK_DAYS
    score = mastery(components(history, later - 29, later))
    others = np.any([history.age(each, columns + 1, later) >= 0 for each in (COMPLETION, QUIZ, QUALITY)], axis=0)
    tells_of_activity = history.count("active", later - 29, later) > 0
    quiet = (history.count("active", columns + 1, later) == 0) & (tells_of_activity | ~others)
    found = risk_outcomes(history, 30, columns)
    np.testing.assert_array_equal(found, (score < AT_RISK_BELOW) | quiet)
    assert 0 < found.mean() < 1


def test_who_stops_being_active_is_at_risk() -> None:
    """Whatever the mastery: the day itself does not count, and the last of the two weeks does."""
    assert outcome(student({20}), 20) == 1
    assert outcome(student({20 + RISK_DAYS}), 20) == 0
    assert outcome(student({20 + RISK_DAYS + 1}), 20) == 1
    assert outcome(student({21}), 20) == 0
    assert outcome(student({21}, completed=0), 20) == 1  # and a low mastery, whatever the activity


def test_where_the_platform_tells_of_no_activity() -> None:
    """Whoever has new evidence has not stopped; of whom there is none for two weeks has."""
    quiet = student(set())
    assert [outcome(quiet, column) for column in (-1, 0)] == [0, 1]
    assert simple_rule(student(set(), completed=0), RETENTION, np.array([6, 7])).tolist() == [[False, True]]


def test_the_outcome_of_the_last_two_weeks_is_not_known() -> None:
    """Neither 1 nor 0: their day has not come."""
    found = risk_outcomes(random_history(5, DAYS), RETENTION, np.arange(DAYS))
    assert np.isnan(found[:, DAYS - RISK_DAYS :]).all()
    assert not np.isnan(found[:, : DAYS - RISK_DAYS]).any()


def test_the_rule_needs_both() -> None:
    """Mastery below 0.5 now, and nothing for 7 days."""
    columns = np.array([20])
    assert simple_rule(student({13}, completed=0), RETENTION, columns).all()
    assert not simple_rule(student({14}, completed=0), RETENTION, columns).any()
    assert not simple_rule(student({13}), RETENTION, columns).any()


@pytest.mark.parametrize("true", [Scaling(0.5, -1.0), Scaling(2.0, 0.5)])
def test_scaling_finds_what_the_log_odds_should_have_been(true: Scaling) -> None:
    """Outcomes drawn from scaled log odds give back the scale."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 2, 200_000)
    found = scaling_of(log_odds, (rng.random(len(log_odds)) < true.probability(log_odds)).astype(float))
    assert found.slope == pytest.approx(true.slope, rel=0.03)
    assert found.intercept == pytest.approx(true.intercept, abs=0.03)


@pytest.mark.parametrize("came", [np.ones(5), np.zeros(5), np.array([0.0, 0, 0, 1, 1])])
def test_scaling_is_finite(came: Floats) -> None:
    """Also if outcomes are all the same, or can be told apart without an error; one in so few is never certain."""
    log_odds = np.arange(5.0)
    found = scaling_of(log_odds, came)
    probability = found.probability(log_odds)
    assert ((probability > 0.001) & (probability < 0.999)).all()
    assert probability.mean() == pytest.approx(came.mean(), abs=0.15)


def test_the_model_scales_what_the_trees_say() -> None:
    """Log odds of 1 for low features, −1 for others and none."""
    trees = BoostedTrees(0.0, [Tree([0, 0, 0], [0.5, 1.0, -1.0], [1, 0, 0], [2, 0, 0], [0, 0, 0])])
    model = RiskModel(("mastery",), trees, Scaling(2.0, 1.0))
    found = model.probability(np.array([[0.4], [0.6], [np.nan]]))
    np.testing.assert_allclose(found, 1 / (1 + np.exp([-3.0, 1.0, 1.0])))


def test_extreme_log_odds_overflow_nothing() -> None:
    """They are as good as certain."""
    np.testing.assert_allclose(logistic(np.array([-1e6, 0.0, 1e6])), [0, 0.5, 1], atol=1e-12)
