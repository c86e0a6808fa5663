"""Whether the learned risk answers: only where it was better than the table, in order and calibration together."""

import numpy as np
import pytest

from app.predictions.daily_history import Floats
from app.predictions.risk_gate import RiskMeasures, RiskTest, risk_test

OUTCOME = np.array([1.0, 1, 0, 0])
TABLE = np.array([0.7, 0.6, 0.4, 0.3])


def compared(learned: Floats) -> RiskTest:
    return risk_test(OUTCOME, base=TABLE, rule=np.array([1.0, 0, 0, 0]), learned=learned)


def figures(of: RiskMeasures) -> tuple[float | None, ...]:
    return of.average_precision, of.calibration_error, of.log_loss


def test_what_is_measured() -> None:
    """Of the table and the model everything; a rule that says yes or no has no probabilities."""
    found = compared(np.array([0.9, 0.9, 0.1, 0.1]))
    assert (found.tested, found.at_risk) == (4, 2)
    assert found.rule == RiskMeasures(0.5 * 1 + 0.5 * 2 / 4, None, None)
    assert figures(found.learned) == pytest.approx((1, 0.1, -np.log(0.9)))
    assert figures(found.base) == pytest.approx((1, 0.35, -(2 * np.log(0.7) + 2 * np.log(0.6)) / 4))


@pytest.mark.parametrize(
    ("learned", "answers"),
    [
        ([0.8, 0.8, 0.2, 0.2], True),
        ([0.7, 0.6, 0.4, 0.3], False),  # no better
        ([0.501, 0.5, 0.499, 0.498], False),  # the same order, and probabilities that say less
        ([0.9, 0.3, 0.4, 0.1], False),  # a wrong order
        ([1.0, 1.0, 1.0, 0.0], False),  # certain, and wrong once
    ],
)
def test_it_answers_only_where_it_is_better(learned: list[float], answers: bool) -> None:
    """By the log loss on the same students and days."""
    assert compared(np.array(learned)).answers is answers


def test_nobody_at_risk() -> None:
    """There is nothing to find, and still a log loss to compare."""
    found = risk_test(np.zeros(3), base=np.full(3, 0.1), rule=np.zeros(3), learned=np.full(3, 0.01))
    assert (found.at_risk, found.learned.average_precision, found.rule.average_precision, found.answers) == (
        0,
        None,
        None,
        True,
    )
