"""How many values lie in each level and bin: as each value is classified, also on the edges."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analytics.frequencies import BIN_EDGES, LEVEL_EDGES, Bin, histogram, levels
from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import Level, classify


def below(values: list[int], edges: tuple[int, ...]) -> list[int]:
    """The counts that Redis gives."""
    return [bisect_left(sorted(values), edge) for edge in edges]


def test_nobody() -> None:
    """Every level and bin is there."""
    assert levels(below([], LEVEL_EDGES)) == dict.fromkeys(Level, 0)
    found = histogram(below([], BIN_EDGES))
    assert [(each.lower, each.upper) for each in found] == [(at / 10, (at + 1) / 10) for at in range(10)]
    assert {each.students for each in found} == {0}


@pytest.mark.parametrize(
    ("value", "level", "bin_"),
    [
        (0, Level.BEGINNER, 0),
        (99_999, Level.BEGINNER, 0),
        (100_000, Level.BEGINNER, 1),
        (399_999, Level.BEGINNER, 3),
        (400_000, Level.DEVELOPING, 4),
        (600_000, Level.COMPETENT, 6),
        (749_999, Level.COMPETENT, 7),
        (750_000, Level.PROFICIENT, 7),
        (899_999, Level.PROFICIENT, 8),
        (900_000, Level.EXPERT, 9),
        (1_000_000, Level.EXPERT, 9),
    ],
)
def test_edges(value: int, level: Level, bin_: int) -> None:
    """A floor belongs to what begins with it, and 1 to the last ones."""
    assert levels(below([value], LEVEL_EDGES)) == {each: int(each is level) for each in Level}
    assert [each.students for each in histogram(below([value], BIN_EDGES))] == [int(at == bin_) for at in range(10)]


def test_a_score_that_changes_meanwhile() -> None:
    """No number is below 0: a student is counted below 0.4, and below 0.6 not any more."""
    assert list(levels([1, 0, 2, 2, 3]).values()) == [1, 0, 1, 0, 1]


@given(st.lists(st.integers(0, MILLIONTHS)))
def test_each_value_is_counted_once(values: list[int]) -> None:
    """In its level, and in the bin whose bounds are about it."""
    classified = [classify(value / MILLIONTHS) for value in values]
    assert levels(below(values, LEVEL_EDGES)) == {level: classified.count(level) for level in Level}
    found = histogram(below(values, BIN_EDGES))

    def is_in(value: int, of: Bin) -> bool:
        return of.lower * MILLIONTHS <= value < of.upper * MILLIONTHS or of.upper * MILLIONTHS == value == MILLIONTHS

    assert [each.students for each in found] == [sum(is_in(value, each) for value in values) for each in found]
