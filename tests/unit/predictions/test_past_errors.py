"""Intervals from the quantiles of past errors."""

import numpy as np
import pytest

from app.predictions.conformal import careful_share
from app.predictions.evidence_groups import FEWEST_ERRORS, GROUPS_PER_SET
from app.predictions.learned_model import INTERVAL_LEVEL, SETTLED_LEVEL
from app.predictions.past_errors import error_quantiles

GROUP = 5 * GROUPS_PER_SET + 1


def test_the_interval_has_what_past_outcomes_of_the_group_were() -> None:
    """Errors from −0.1 to 0.3: 82 of a hundred lie inside, and as many of the others on each side."""
    number = 9_999
    assert careful_share(INTERVAL_LEVEL, number) == pytest.approx(0.82, abs=1e-4)
    errors = np.linspace(-0.1, 0.3, number)
    point = np.full(number, 0.5)
    found = error_quantiles(point, point + errors, np.full(number, GROUP), np.arange(number) % 2).around(
        np.array([0.6]), np.array([GROUP])
    )
    assert (found.lower[0], found.point[0], found.upper[0]) == pytest.approx((0.536, 0.6, 0.864), abs=1e-4)


def test_few_errors_make_a_wide_interval() -> None:
    """So few that a tenth on each side would say little: all of them are inside."""
    errors = np.linspace(-0.1, 0.3, FEWEST_ERRORS)
    point = np.full(FEWEST_ERRORS, 0.5)
    found = error_quantiles(point, point + errors, np.full(FEWEST_ERRORS, GROUP), np.zeros(FEWEST_ERRORS, np.int64)).around(
        np.array([0.6]), np.array([GROUP])
    )
    assert (found.lower[0], found.upper[0]) == pytest.approx((0.5, 0.9), abs=1e-6)


def test_a_group_with_few_errors_takes_the_widest_interval() -> None:
    """One error less than needed, beside two groups with as long a history: below as the one, above as the other."""
    alike = [GROUP, GROUP + 3, GROUP + 6]
    groups = np.repeat(alike, [FEWEST_ERRORS - 1, FEWEST_ERRORS, FEWEST_ERRORS])
    outcome = np.repeat([0.9, 0.6, 0.3], [FEWEST_ERRORS - 1, FEWEST_ERRORS, FEWEST_ERRORS])
    part = np.zeros(len(groups), np.int64)
    found = error_quantiles(np.full(len(groups), 0.5), outcome, groups, part).around(np.full(3, 0.5), np.array(alike))
    assert found.lower.tolist() == pytest.approx([0.3, 0.5, 0.3])
    assert found.upper.tolist() == pytest.approx([0.6, 0.6, 0.5])


@pytest.mark.parametrize(("parts", "level"), [(2, SETTLED_LEVEL), (1, INTERVAL_LEVEL)])
def test_students_with_a_long_history_need_less_if_several_cohorts_say_so(parts: int, level: float) -> None:
    """As with the margins of the learned model: half of the others lie on each side."""
    number, settled = 9_999, GROUPS_PER_SET - 1
    errors = np.linspace(-0.1, 0.1, number)
    point = np.full(number, 0.5)
    found = error_quantiles(point, point + errors, np.full(number, settled), np.arange(number) % parts)
    expected = careful_share(level, number) / 10
    assert [found.lower.groups[settled], found.upper.groups[settled]] == pytest.approx([expected, expected], abs=1e-4)
