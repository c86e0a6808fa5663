"""Intervals from the quantiles of past errors."""

import numpy as np
import pytest

from app.predictions.evidence_groups import FEWEST_ERRORS, GROUPS_PER_SET
from app.predictions.past_errors import error_quantiles

GROUP = 5 * GROUPS_PER_SET + 1


def test_the_interval_has_what_past_outcomes_of_the_group_were() -> None:
    """Errors from −0.1 to 0.3: eight of ten lie between the first and the ninth tenth."""
    errors = np.linspace(-0.1, 0.3, FEWEST_ERRORS)
    point = np.full(FEWEST_ERRORS, 0.5)
    found = error_quantiles(point, point + errors, np.full(FEWEST_ERRORS, GROUP)).around(np.array([0.6]), np.array([GROUP]))
    assert (found.lower[0], found.point[0], found.upper[0]) == pytest.approx((0.54, 0.6, 0.86), abs=1e-6)


def test_a_group_with_few_errors_takes_those_of_the_same_components() -> None:
    """One error less than needed, beside many of another group with the same components; then those of all."""
    groups = np.repeat([GROUP, GROUP + 1, 0], [FEWEST_ERRORS - 1, FEWEST_ERRORS, 30 * FEWEST_ERRORS])
    outcome = np.repeat([0.9, 0.6, 0.5], [FEWEST_ERRORS - 1, FEWEST_ERRORS, 30 * FEWEST_ERRORS])
    quantiles = error_quantiles(np.full(len(groups), 0.5), outcome, groups)
    found = quantiles.around(np.array([0.5, 0.5, 0.5]), np.array([GROUP, GROUP + 1, 8 * GROUPS_PER_SET]))
    assert found.upper.tolist() == pytest.approx([0.9, 0.6, 0.5])
    assert found.lower.tolist() == pytest.approx([0.5, 0.5, 0.5])
