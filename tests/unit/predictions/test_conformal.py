"""Quantiles that most of the next errors do not exceed."""

import numpy as np
import pytest

from app.predictions.conformal import careful_share, conformal_quantile


@pytest.mark.parametrize(
    ("number", "rank"),
    [(1, 1), (3, 3), (4, 4), (5, 5), (9, 8), (10, 9), (99, 80), (100, 81), (999, 800)],
)
def test_the_quantile_is_one_of_the_errors(number: int, rank: int) -> None:
    """The ⌈0.8 · (n + 1)⌉-th smallest of n errors, in any order; the largest if there are fewer."""
    errors = np.random.default_rng(0).permutation(np.arange(1, number + 1) / 10_000 - 0.02)
    assert conformal_quantile(errors, 0.8) == pytest.approx(rank / 10_000 - 0.02)


@pytest.mark.parametrize("number", [9, 30, 300])
def test_the_next_error_is_below_as_often_as_promised(number: int) -> None:
    """80 %, whatever the number of past errors, if all are drawn alike."""
    rng = np.random.default_rng(1)
    drawn = rng.exponential(size=(4_000, number + 1))
    below = np.mean([row[-1] <= conformal_quantile(row[:-1], 0.8) for row in drawn])
    assert below == pytest.approx(np.ceil(0.8 * (number + 1)) / (number + 1), abs=0.02)


def test_few_errors_need_a_larger_share() -> None:
    """2 / √n more, at most all of them; with many, the level itself."""
    assert careful_share(0.8, 400) == pytest.approx(0.9)
    assert careful_share(0.8, 10_000) == pytest.approx(0.82)
    assert [careful_share(0.8, number) for number in (1, 50, 100)] == [1.0, 1.0, 1.0]
    shares = [careful_share(0.73, number) for number in range(1, 2_000)]
    assert shares == sorted(shares, reverse=True)
