"""The base model: what is known to leave the retention window; of the slope, nothing that back-tests do not support."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.mastery.components import mastery_history
from app.mastery.facts import DayFacts
from app.predictions import base_model
from app.predictions.base_model import (
    DAMPING,
    REGRESSION_DAYS,
    base_forecasts,
    carried_scores,
    regression_slope,
    regression_slopes,
)

TODAY, RETENTION = 20_000, 90
histories = st.lists(st.floats(0, 1), min_size=1, max_size=REGRESSION_DAYS)


def carried(days: dict[int, DayFacts], *horizons: int) -> list[float]:
    return carried_scores(days, TODAY, mastery_history(days, TODAY).components, horizons, RETENTION)


@given(st.lists(histories, min_size=1, max_size=5))
def test_the_slopes_of_many_are_those_of_each(students: list[list[float]]) -> None:
    """The sums over arrays give what SciPy's regression gives for one student after the other."""
    daily = np.full((len(students), REGRESSION_DAYS), np.nan)
    for row, of_student in enumerate(students):
        daily[row, REGRESSION_DAYS - len(of_student) :] = of_student
    expected = [stats.linregress(range(len(each)), each).slope if len(each) > 2 else 0.0 for each in students]
    assert regression_slopes(daily) == pytest.approx(expected, abs=1e-9)
    assert [regression_slope(each) for each in students] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("damping", "expected"), [(0.0, [[0.5, 0.4], [0.999, 1.0]]), (0.02, [[0.4998, 0.3986], [1.0, 1.0]])])
def test_the_equation(monkeypatch: pytest.MonkeyPatch, damping: float, expected: list[list[float]]) -> None:
    """Two students, one and seven days ahead: carried + damping · h · slope, not above 1; the damping is 0."""
    assert DAMPING == 0
    monkeypatch.setattr(base_model, "DAMPING", damping)
    assert base_forecasts(np.array([[0.5, 0.4], [0.999, 1.0]]), np.array([-0.01, 0.1]), (1, 7)).tolist() == expected


def test_nothing_leaves_the_window() -> None:
    """Then the carried mastery is today's: 0.3 · 8/10 + 0.1 · 2/14."""
    days = {TODAY - 10: DayFacts(correct=8, asked=10, active=1), TODAY: DayFacts(active=1)}
    assert carried(days, 1, 7, 30) == [0.254286] * 3


def test_evidence_that_leaves_the_window() -> None:
    """A quiz of 85 days ago counts for four more days, the completion of 60 days ago for 29. Consistency stays as it is."""
    days = {
        TODAY - 85: DayFacts(correct=1, asked=10),
        TODAY - 60: DayFacts(completed=1, total=2),
        TODAY - 40: DayFacts(correct=9, asked=10),
        TODAY: DayFacts(active=1),
    }
    activity = round(0.1 / 14, 6)
    assert carried(days, 4, 5, 29, 30) == pytest.approx(
        [0.2 + 0.15 + activity, 0.2 + 0.27 + activity, 0.2 + 0.27 + activity, 0.27 + activity], abs=1e-6
    )


def test_all_evidence_leaves_the_window() -> None:
    """Nothing is left but the activity of today, of which there is none."""
    assert carried({TODAY - 85: DayFacts(correct=1, asked=1, active=1)}, 4, 5) == [0.3, 0.0]
