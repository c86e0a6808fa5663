"""Distributions and places equal those of SciPy, NumPy and the standard library, and those computed by hand."""

import statistics

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from app.analytics.distribution import Distribution, Place, distribution, place
from app.mastery.rankings import Ranking
from tests.rankings import ranking_of

# Many of equal values, and values of any size.
VALUES = st.lists(st.sampled_from([0, 1, 500_000, 1_000_000]) | st.integers(0, 1_000_000), min_size=5, max_size=60)


def ranking(values: list[int], value: int | None = None) -> Ranking:
    return ranking_of(np.array(sorted(values), np.uint32), value)


def in_whole_millionths(number: float) -> float:
    return round(number) / 1_000_000


def test_a_cohort_of_six_by_hand() -> None:
    """0.1, 0.2, 0.2, 0.4, 0.7, 0.8; two of them share the fourth rank: one is below them, two are equal."""
    found = ranking([800_000, 200_000, 100_000, 400_000, 200_000, 700_000], 200_000)
    assert distribution(found) == Distribution(6, 0.4, 0.3, 0.2, 0.625, 0.264575)
    assert place(found) == Place(percentile=33.3333, rank=4, total=6)
    assert distribution(found, decimals=3) == Distribution(6, 0.4, 0.3, 0.2, 0.625, 0.265)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (900_000, Place(100.0, 1, 5)),
        (800_000, Place(90.0, 1, 5)),
        (500_000, Place(50.0, 3, 5)),
        (100_000, Place(10.0, 5, 5)),
        (0, Place(0.0, 6, 5)),
        (None, None),
    ],
)
def test_a_place_by_hand(value: int | None, expected: Place | None) -> None:
    """100 is best; a value from outside may be below all others; without a value there is no place."""
    assert place(ranking([100_000, 200_000, 500_000, 700_000, 800_000], value)) == expected


@pytest.mark.parametrize("students", range(5))
def test_fewer_than_five_have_neither(students: int) -> None:
    found = ranking([300_000] * students, 300_000)
    assert (distribution(found), place(found), found.students) == (None, None, students)


@given(VALUES)
@example([0, 0, 0, 0, 1])
@example([1_000_000] * 5)
@example([0, 1] * 30)  # the mean is half a millionth
def test_a_distribution_is_that_of_the_libraries(values: list[int]) -> None:
    """Rounded to whole millionths, in which all are exact."""
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    assert distribution(ranking(values)) == Distribution(
        len(values),
        in_whole_millionths(statistics.mean(values)),
        in_whole_millionths(statistics.median(values)),
        in_whole_millionths(lower),
        in_whole_millionths(upper),
        in_whole_millionths(statistics.pstdev(values)),
    )
    assert statistics.median(values) == median
    assert statistics.quantiles(values, n=4, method="inclusive") == pytest.approx([lower, median, upper])


@given(VALUES, st.data())
def test_a_place_is_that_of_scipy(values: list[int], data: st.DataObject) -> None:
    """Of values that are in the ranking, and of others; the rank is one more than the number of those above."""
    value = data.draw(st.sampled_from(values) | st.integers(0, 1_000_000))
    found = place(ranking(values, value))
    assert found is not None
    assert found.percentile == pytest.approx(percentileofscore(values, value, kind="mean"), abs=5.1e-5)
    assert found.rank == 1 + sum(each > value for each in values)
    assert found.total == len(values)


def test_sums_of_many_do_not_overflow() -> None:
    """A million of the largest values."""
    found = ranking_of(np.full(1_000_000, 1_000_000, np.uint32), 1_000_000)
    assert (found.total, found.squares) == (10**12, 10**18)
    assert distribution(found) == Distribution(1_000_000, 1.0, 1.0, 1.0, 1.0, 0.0)
