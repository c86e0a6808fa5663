"""Comparisons of two groups equal those of SciPy and numpy, published examples, and numbers computed by hand."""

import itertools
import math
import random
import time

import numpy as np
import pytest
from scipy import stats

from app.analytics.two_samples import EXACT_PAIRS, EffectSize, TwoSamples, compare_samples, effect_size

# How much longer ten patients slept with each of two drugs, in hours (Cushny and Peebles 1905): the data ``sleep`` of R.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Permeability of a membrane at term and in the third to sixth month (Hollander and Wolfe 1973, p. 69): ``?wilcox.test`` of R.
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLIER = [1.15, 0.88, 0.90, 0.74, 1.21]


def compared(a: list[float], b: list[float]) -> TwoSamples:
    """Values in units instead of millionths."""
    return compare_samples(*([round(each * 1_000_000) for each in values] for values in (a, b)))


def test_welch_and_cohen_on_data_known_from_r() -> None:
    """``t.test(extra ~ group, sleep)``: t = -1.8608, df = 17.776, p = 0.07939, -3.3654832 to 0.2054832; d = -0.8321811."""
    found = compared(FIRST_DRUG, SECOND_DRUG)
    assert found.welch is not None
    assert (round(found.welch.t, 4), round(found.welch.degrees_of_freedom, 3)) == (-1.8608, 17.776)
    assert round(found.welch.p, 5) == 0.07939
    assert found.difference.mean == -1.58
    assert found.difference.confidence_interval is not None
    assert found.difference.confidence_interval.lower == pytest.approx(-3.3654832, abs=1e-6)
    assert found.difference.confidence_interval.upper == pytest.approx(0.2054832, abs=1e-6)
    assert found.effect.cohens_d == pytest.approx(-0.8321811, abs=1e-6)
    assert found.effect.size is EffectSize.LARGE


def test_the_interval_of_a_mean_on_data_known_from_r() -> None:
    """``t.test(sleep$extra[1:10])``: 0.75, -0.5297804 to 2.0297804."""
    found = compared(FIRST_DRUG, SECOND_DRUG).cohort_a
    assert (found.students, found.mean, round(found.standard_deviation, 5)) == (10, 0.75, 1.78901)
    assert found.confidence_interval is not None
    assert found.confidence_interval.lower == pytest.approx(-0.5297804, abs=1e-6)
    assert found.confidence_interval.upper == pytest.approx(2.0297804, abs=1e-6)


def test_mann_whitney_on_data_known_from_r() -> None:
    """``wilcox.test``, two-sided: with ties W = 25.5, p = 0.06933; without any, exactly, W = 35, p = 0.2544."""
    with_ties, exact = compared(FIRST_DRUG, SECOND_DRUG).mann_whitney, compared(AT_TERM, EARLIER).mann_whitney
    assert with_ties.p is not None
    assert exact.p is not None
    assert (with_ties.u, round(with_ties.p, 5), with_ties.superiority) == (25.5, 0.06933, 0.255)
    assert (exact.u, round(exact.p, 4), exact.superiority) == (35, 0.2544, 0.7)


def test_a_mann_whitney_test_by_hand() -> None:
    """Of the 252 ways to choose five of ten, one has a sum of ranks as low as this, and one as high: p = 2/252."""
    found = compare_samples([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]).mann_whitney
    assert (found.u, found.superiority) == (0, 0)
    assert found.p == pytest.approx(2 / 252)
    assert compare_samples([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]).mann_whitney.superiority == 1


def groups(seed: int) -> tuple[list[int], list[int]]:
    """Five to sixty values each, with different spreads; few different ones for every other seed."""
    rng = random.Random(seed)
    step = 100_000 if seed % 2 else 1

    def group() -> list[int]:
        mean, deviation = rng.uniform(0.2, 0.8), rng.uniform(0.02, 0.3)
        drawn = (min(max(rng.gauss(mean, deviation), 0), 1) for _ in range(rng.randint(5, 60)))
        return sorted(round(each * 1_000_000 / step) * step for each in drawn)

    return group(), group()


@pytest.mark.parametrize("seed", range(40))
def test_any_groups_as_scipy_and_numpy(seed: int) -> None:
    """Independently computed, from floats."""
    a, b = groups(seed)
    x, y = np.array(a) / 1_000_000, np.array(b) / 1_000_000
    found, welch, ranks = compare_samples(a, b), stats.ttest_ind(x, y, equal_var=False), stats.mannwhitneyu(x, y)
    assert found.welch is not None
    assert (found.welch.t, found.welch.degrees_of_freedom) == pytest.approx((welch.statistic, welch.df), abs=2e-6)
    assert found.welch.p == pytest.approx(welch.pvalue, rel=1e-9)
    assert found.difference.mean == pytest.approx(x.mean() - y.mean(), abs=1e-6)
    assert found.difference.confidence_interval is not None
    interval = found.difference.confidence_interval.lower, found.difference.confidence_interval.upper
    assert interval == pytest.approx(tuple(welch.confidence_interval()), abs=1e-6)
    for sample, values in ((found.cohort_a, x), (found.cohort_b, y)):
        assert sample.students == len(values)
        assert sample.mean == pytest.approx(values.mean(), abs=1e-6)
        assert sample.standard_deviation == pytest.approx(values.std(ddof=1), abs=1e-6)
        assert sample.confidence_interval is not None
        expected = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        assert (sample.confidence_interval.lower, sample.confidence_interval.upper) == pytest.approx(expected, abs=1e-6)
    pooled = ((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / (len(x) + len(y) - 2)
    assert found.effect.cohens_d == pytest.approx((x.mean() - y.mean()) / math.sqrt(pooled), abs=1e-6)
    assert found.mann_whitney.p == pytest.approx(ranks.pvalue, rel=1e-9)
    wins = sum((one > other) + (one == other) / 2 for one, other in itertools.product(a, b))
    assert (found.mann_whitney.u, found.mann_whitney.superiority) == (wins, round(wins / len(a) / len(b), 6))


@pytest.mark.parametrize("seed", range(5))
def test_the_other_way_round(seed: int) -> None:
    """Differences change their sign, p stays."""
    a, b = groups(seed)
    one, other = compare_samples(a, b), compare_samples(b, a)
    assert one.welch is not None
    assert other.welch is not None
    assert one.effect.cohens_d is not None
    assert other.effect.cohens_d is not None
    assert (one.welch.t, one.difference.mean, one.effect.cohens_d) == (
        -other.welch.t,
        -other.difference.mean,
        -other.effect.cohens_d,
    )
    assert (one.welch.p, one.mann_whitney.p) == pytest.approx((other.welch.p, other.mann_whitney.p))
    assert one.mann_whitney.superiority + other.mann_whitney.superiority == pytest.approx(1, abs=1e-6)


def test_all_values_are_the_same() -> None:
    """No test is defined, and the probability that the one is higher is a half. No number is NaN, and nothing warns."""
    found = compare_samples([500_000] * 5, [500_000] * 9)
    assert (found.cohort_a.mean, found.cohort_a.standard_deviation, found.cohort_a.confidence_interval) == (0.5, 0, None)
    assert (found.difference.mean, found.difference.confidence_interval) == (0, None)
    assert (found.effect.cohens_d, found.effect.size, found.welch) == (None, None, None)
    assert (found.mann_whitney.u, found.mann_whitney.p, found.mann_whitney.superiority) == (22.5, None, 0.5)


def test_all_values_within_each_group_are_the_same() -> None:
    """The means differ, and there is no spread to judge that by; ranks can be compared."""
    found = compare_samples([0] * 5, [1_000_000] * 6)
    assert (found.difference.mean, found.difference.confidence_interval) == (-1, None)
    assert (found.effect.cohens_d, found.welch, found.mann_whitney.u) == (None, None, 0)
    assert found.mann_whitney.p == pytest.approx(stats.mannwhitneyu([0] * 5, [1] * 6).pvalue)


def test_one_group_without_spread() -> None:
    """Welch's test is then the test of the other group's mean against a fixed number."""
    found = compare_samples([300_000] * 7, [100_000, 200_000, 400_000, 600_000, 700_000])
    expected = stats.ttest_1samp([0.1, 0.2, 0.4, 0.6, 0.7], 0.3)
    assert found.welch is not None
    assert (found.welch.t, found.welch.degrees_of_freedom) == pytest.approx((-expected.statistic, 4), abs=1e-6)
    assert found.welch.p == pytest.approx(expected.pvalue)
    assert found.cohort_a.confidence_interval is None
    assert found.cohort_b.confidence_interval is not None


def test_a_spread_of_a_millionth() -> None:
    """Is a spread, where floats would lose it."""
    found = compare_samples([999_999] * 50_000 + [1_000_000] * 50_000, [1_000_000] * 100_000)
    assert found.welch is not None
    assert found.welch.t == pytest.approx(-math.sqrt(99_999), abs=1e-5)
    assert found.effect.cohens_d == pytest.approx(-math.sqrt(2 * 99_999 / 100_000), abs=1e-4)


@pytest.mark.parametrize(
    ("cohens_d", "size"),
    [(0, "negligible"), (0.199999, "negligible"), (0.2, "small"), (0.5, "medium"), (0.799999, "medium"), (0.8, "large")],
)
def test_sizes_in_words(cohens_d: float, size: str) -> None:
    """Cohen's bounds belong to the larger size; the direction does not count."""
    assert effect_size(cohens_d) == effect_size(-cohens_d) == size


def test_a_large_group_against_a_small_one() -> None:
    """SciPy would compute the distribution of all their orders, for minutes; from a size on it is approximated."""
    rng = random.Random(1)
    drawn = rng.sample(range(1_000_000), 100_008)
    begin = time.monotonic()
    found = compare_samples(drawn[:8], drawn[8:]).mann_whitney
    assert time.monotonic() - begin < 10
    assert found.p == stats.mannwhitneyu(drawn[:8], drawn[8:], method="asymptotic").pvalue
    few = drawn[8 : 8 + EXACT_PAIRS // 8]
    assert compare_samples(drawn[:8], few).mann_whitney.p == stats.mannwhitneyu(drawn[:8], few, method="exact").pvalue
