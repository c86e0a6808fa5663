"""The simple forecasts that a model has to beat."""

import numpy as np
import pytest

from app.predictions.features import HORIZON_DAYS
from app.predictions.simple_forecasts import LEVEL_SHARE, TREND_SHARE, holt, line


def test_a_line_is_the_regression_of_numpy() -> None:
    """Through ten values, seven days after the last of them."""
    values = np.random.default_rng(0).uniform(0.4, 0.5, 10)
    slope, at_zero = np.polyfit(np.arange(10), values, 1)
    expected = at_zero + slope * (9 + HORIZON_DAYS)
    assert line(values.mean(), slope, np.array(10.0)) == pytest.approx(expected)


def test_a_line_stays_within_0_and_1() -> None:
    """A steep one is clipped."""
    assert line(np.array([0.9, 0.1]), np.array([0.1, -0.1]), np.array([14.0, 14.0])).tolist() == [1.0, 0.0]


def test_holt_by_hand() -> None:
    """Two days of a student, and one who begins anew after a gap."""
    score = np.array([[0.4, 0.6], [0.9, 0.2]])
    present = np.array([[True, True], [False, True]])
    level = LEVEL_SHARE * 0.6 + (1 - LEVEL_SHARE) * 0.4
    trend = TREND_SHARE * (level - 0.4)
    found = holt(score, present)
    assert found[0].tolist() == pytest.approx([0.4, level + HORIZON_DAYS * trend])
    assert found[1, 1] == pytest.approx(0.2)
