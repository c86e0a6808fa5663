"""Origins of forecasts: every student with evidence on each day, and what came of it."""

import numpy as np
import pytest

from app.mastery.facts import DayFacts
from app.predictions.daily_history import daily_history
from app.predictions.features import HORIZON_DAYS, outlook
from app.predictions.origins import STUDENTS_IN_CACHE, origins, origins_of, outcomes, some_students
from app.predictions.peers import peers
from tests.unit.predictions.cohorts import random_history

RETENTION = 30


@pytest.mark.parametrize("students", [1, STUDENTS_IN_CACHE, STUDENTS_IN_CACHE + 1, 2 * STUDENTS_IN_CACHE + 1])
def test_students_are_computed_in_blocks(students: int) -> None:
    """The result is that of all at once."""
    history, columns = random_history(students, 40), np.array([0, 20, 32, 33, 39])
    cohort = peers(history, RETENTION, columns - 1)
    seen = outlook(history, RETENTION, columns, cohort)
    expected = origins_of(seen, outcomes(history, RETENTION, columns), columns)
    found = origins(history, RETENTION, columns, cohort)
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, others)
    assert len(found.score) == seen.present.sum()
    assert found.score.tolist() == seen.score[found.student, np.searchsorted(columns, found.column)].tolist()


def test_no_students_have_no_origins() -> None:
    """An empty cohort gives empty arrays."""
    assert len(origins(daily_history([], 0, 30), RETENTION, np.array([10]), [None]).score) == 0


def test_outcomes_by_hand() -> None:
    """Mastery seven days later, as seen then: without evidence that has left, 0 if none is left, NaN for days to come."""
    history = daily_history([{10: DayFacts(correct=1, asked=2), 20: DayFacts(correct=2, asked=2)}], 0, 47)
    columns = np.array([10, 13, 34, 40, 41])
    np.testing.assert_array_equal(outcomes(history, RETENTION, columns), [[0.15, 0.225, 0.3, 0.3, np.nan]])
    shorter = outcomes(history, 20, columns)
    np.testing.assert_array_equal(shorter, [[0.15, 0.225, 0.0, 0.0, np.nan]])
    found = origins(history, 20, columns, [None] * 5)
    assert found.column.tolist() == [10, 13, 34]
    assert found.with_outcome().outcome.tolist() == [0.15, 0.225, 0.0]
    assert HORIZON_DAYS == 7


def test_some_students() -> None:
    """Their rows of everything, in the order asked for."""
    history = random_history(5, 20)
    found = some_students(history, np.array([3, 1]))
    assert (found.students, found.days, found.last) == (2, 20, history.last)
    np.testing.assert_array_equal(found.facts["asked"], history.facts["asked"][[3, 1]])
    columns = np.array([19])
    np.testing.assert_array_equal(
        found.count("asked", columns - 9, columns), history.count("asked", columns - 9, columns)[[3, 1]]
    )
    np.testing.assert_array_equal(found.age(0, columns - 9, columns), history.age(0, columns - 9, columns)[[3, 1]])
