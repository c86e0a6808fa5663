"""Measures of risk equal those of scikit-learn, or those computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics import log_loss as reference_log_loss

from app.predictions.risk_measures import average_precision, calibration_error, log_loss


@pytest.mark.parametrize("levels", [2, 5, 1_000_000])
def test_average_precision_is_that_of_scikit_learn(levels: int) -> None:
    """Also for a rule that only says yes or no, and for scores that many share."""
    rng = np.random.default_rng(levels)
    for rows in (1, 2, 50, 1_000):
        outcome = (rng.random(rows) < 0.3).astype(float)
        outcome[0] = 1
        score = rng.integers(0, levels, rows) / levels + outcome * 0.25
        assert average_precision(outcome, score) == pytest.approx(average_precision_score(outcome, score))


def test_average_precision_of_nobody_at_risk_is_none() -> None:
    """There is nothing to find."""
    assert average_precision(np.zeros(3), np.arange(3.0)) is None
    assert average_precision(np.zeros(0), np.zeros(0)) is None


def test_calibration_error_by_hand() -> None:
    """Two bins: two students with 0.15, one at risk; two with 1.0, both at risk."""
    assert calibration_error(np.array([1.0, 0, 1, 1]), np.array([0.15, 0.15, 1.0, 1.0])) == pytest.approx(0.35 * 2 / 4)
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0


def test_errors_in_different_bins_do_not_cancel() -> None:
    """Too low in one and too high in another is wrong twice."""
    assert calibration_error(np.array([1.0, 0.0]), np.array([0.25, 0.75])) == pytest.approx(0.75)


def test_log_loss_is_that_of_scikit_learn() -> None:
    """Of any probabilities."""
    rng = np.random.default_rng(0)
    outcome, probability = (rng.random(500) < 0.3).astype(float), rng.random(500)
    assert log_loss(outcome, probability) == pytest.approx(reference_log_loss(outcome, probability))


def test_log_loss_is_finite() -> None:
    """Also where one was certain, and wrong; without students it is 0."""
    assert log_loss(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(-np.log(1e-6))
    assert log_loss(np.zeros(0), np.zeros(0)) == 0
