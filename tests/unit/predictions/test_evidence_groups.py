"""Groups of forecasts: which evidence there is, the trend, and the days of history."""

from itertools import product

import numpy as np
import pytest

from app.mastery.formula import Components
from app.predictions.daily_history import Ints
from app.predictions.evidence_groups import FEWEST_ERRORS, GROUPS_PER_SET, HISTORY_FROM, PerGroup, describe, groups, per_group

PARTS = len(HISTORY_FROM) + 1
SETS = list(product([False, True], repeat=len(Components._fields)))
SLOPES = [-0.1, 0.0, 0.1]
HISTORIES = [3, 20, 90]


def group_of(known: tuple[bool, ...], slope: float, history_days: float) -> int:
    return int(groups(np.array(known).reshape(4, 1), np.array([slope]), np.array([history_days]))[0])


def test_no_two_kinds_of_forecasts_share_a_group() -> None:
    """16 sets of components, 3 trends and 3 lengths; those with the same components have the same quotient."""
    found = {kind: group_of(*kind) for kind in product(SETS, SLOPES, HISTORIES)}
    assert sorted(found.values()) == list(range(16 * 3 * 3))
    for known in SETS:
        assert len({group // GROUPS_PER_SET for (of, *_), group in found.items() if of == known}) == 1
    assert len({describe(group) for group in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("known", "slope", "history_days", "text"),
    [
        ((True, True, True, True), 0.0021, 45, "completion, quiz, quality, consistency; improving; 45 days and more"),
        ((True, False, False, True), 0.002, 44, "completion, consistency; stable; 14 to 44 days"),
        ((False, False, False, True), -0.002, 14, "consistency; stable; 14 to 44 days"),
        ((False, True, False, False), -0.0021, 13, "quiz; declining; less than 14 days"),
    ],
)
def test_a_group_in_words(known: tuple[bool, ...], slope: float, history_days: float, text: str) -> None:
    """The trend is the one of ``app/mastery/trend.py``: stable within ±0.002 a day."""
    assert describe(group_of(known, slope, history_days)) == text


def test_many_forecasts_at_once_keep_their_shape() -> None:
    """Students × days in, students × days out."""
    rng = np.random.default_rng(0)
    known, slopes, history = rng.random((4, 5, 7)) < 0.5, rng.normal(0, 0.004, (5, 7)), rng.uniform(0, 90, (5, 7))
    found = groups(known, slopes, history)
    assert found.shape == (5, 7)
    assert found[3, 2] == group_of(tuple(known[:, 3, 2]), slopes[3, 2], history[3, 2])


def test_a_group_without_a_value_has_the_most_of_its_part_of_the_history() -> None:
    """And the one of all if that has none."""
    found = PerGroup({20: 1.0}, {20 % PARTS: 2.0}, 3.0)
    values = found.of(np.array([20, 20 + PARTS, 21, 20, 140]))
    assert values.tolist() == [1.0, 2.0, 3.0, 1.0, 2.0]
    assert PerGroup({}, {}, 3.0).of(np.array([], dtype=np.int64)).tolist() == []


def test_what_is_measured() -> None:
    """Each group with enough errors, the most in each part of the history, and all; each from the rows that are its own."""
    group = np.repeat([0, PARTS, 1, 2], [FEWEST_ERRORS, FEWEST_ERRORS + 1, FEWEST_ERRORS - 1, FEWEST_ERRORS + 2])
    rows: list[tuple[list[int], bool]] = []

    def number(of_some: Ints, settled: bool) -> float:
        rows.append((np.unique(group[of_some]).tolist(), settled))
        return float(len(of_some))

    found = per_group(group, number)
    few = FEWEST_ERRORS
    assert found == PerGroup({0: few, PARTS: few + 1, 2: few + 2}, {0: few + 1, 2: few + 2}, 4 * few + 2)
    assert rows == [([0], False), ([2], True), ([PARTS], False), ([0, 1, 2, PARTS], False)]
