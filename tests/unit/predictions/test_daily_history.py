"""Facts by day as arrays: what lies in a window, and how old it is. Properties compare the results with ``app/mastery``."""

import numpy as np

from app.mastery.facts import DayFacts
from app.predictions.daily_history import (
    COMPLETION,
    CONSISTENCY,
    QUIZ,
    components,
    daily_history,
    has_evidence,
    mastery,
)

FIRST, LAST = 100, 109
COLUMNS = np.array([4, 9])
ONE = {
    102: DayFacts(completed=1, total=4, active=1),
    104: DayFacts(completed=3, total=6, correct=1, asked=2),
    105: DayFacts(correct=5, asked=8),
}
NOBODY: dict[int, DayFacts] = {}
OUTSIDE = {99: DayFacts(active=1), 110: DayFacts(completed=1, total=1)}
HISTORY = daily_history([ONE, NOBODY, OUTSIDE], FIRST, LAST)


def test_counts_of_windows() -> None:
    """The sum of the days of a window, which may begin before the history."""
    assert HISTORY.count("asked", COLUMNS - 20, COLUMNS).tolist() == [[2, 10], [0, 0], [0, 0]]
    assert HISTORY.count("asked", COLUMNS, COLUMNS).tolist() == [[2, 0], [0, 0], [0, 0]]
    assert HISTORY.count("asked", COLUMNS - 20, COLUMNS - 10).tolist() == [[0, 0]] * 3


def test_the_age_of_the_newest_evidence() -> None:
    """In days before the end of the window; NaN if there is none in it."""
    np.testing.assert_array_equal(HISTORY.age(QUIZ, COLUMNS - 4, COLUMNS)[0], [0, 4])
    np.testing.assert_array_equal(HISTORY.age(QUIZ, COLUMNS - 3, COLUMNS)[0], [0, np.nan])
    np.testing.assert_array_equal(HISTORY.age(CONSISTENCY, COLUMNS - 20, COLUMNS)[0], [2, 7])
    assert np.isnan(HISTORY.age(COMPLETION, COLUMNS - 20, COLUMNS)[1:]).all()


def test_the_progress_of_the_latest_completion() -> None:
    """Of the latest day with one in the window; 0 of 0 without."""
    completed, total = HISTORY.progress(COLUMNS - 5, COLUMNS)
    assert (completed[0].tolist(), total[0].tolist()) == ([3, 3], [6, 6])
    completed, total = HISTORY.progress(COLUMNS - 4, COLUMNS)
    assert (completed[0].tolist(), total[0].tolist()) == ([3, 0], [6, 0])


def test_students_keep_their_order_and_other_days_are_ignored() -> None:
    """Mastery by hand in the first row: 0.4 · 3/6 + 0.3 · 6/10 + 0.1 · 1/14; no evidence in the others."""
    found = components(HISTORY, np.array([0]), np.array([9]))
    assert mastery(found).tolist() == [[0.387143], [0.0], [0.0]]
    assert has_evidence(found).tolist() == [[True], [False], [False]]


def test_no_students_at_all() -> None:
    """An empty cohort has empty answers."""
    nothing = daily_history([], FIRST, LAST)
    assert (nothing.students, nothing.days) == (0, 10)
    assert components(nothing, COLUMNS - 5, COLUMNS).shape == (4, 0, 2)
