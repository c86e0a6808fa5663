"""The risk that a cold engine states."""

import numpy as np

from app.predictions.base_risk import INACTIVE_FROM, MASTERY_FROM, base_risk


def test_each_band_begins_with_its_first_value() -> None:
    """By hand: a mastery of 0.5 is no longer low, and the seventh day without activity is a week."""
    found = base_risk(np.array([0.49, 0.5, 0.5, 1.0, 0.0]), np.array([6.0, 6.0, 7.0, 0.0, 90.0]))
    np.testing.assert_array_equal(found, [0.85, 0.27, 0.39, 0.05, 0.95])


def test_a_low_mastery_comes_first() -> None:
    """Whoever is below 0.5 is more at risk than all others after the same break."""
    for inactive in (0.0, *INACTIVE_FROM):
        low, *others = base_risk(np.array([0.0, *MASTERY_FROM]), np.full(4, inactive))
        assert low > max(others)


def test_longer_breaks_never_lower_the_risk() -> None:
    """In no band of mastery."""
    for score in (0.0, *MASTERY_FROM):
        risk = base_risk(np.full(4, score), np.array([0.0, *INACTIVE_FROM]))
        assert (np.diff(risk) > 0).all()
