"""Compares two groups of students by one metric: means, effect size, and the two usual tests for independent samples. Pure.

With n values of mean x̄ and sample variance s² in each group, a and b:

    interval of a mean  x̄ ± t(0.975; n − 1) · √(s²/n)
    difference          x̄ₐ − x̄ᵦ ± t(0.975; ν) · e          e² = s²ₐ/nₐ + s²ᵦ/nᵦ
    Welch's test        t = (x̄ₐ − x̄ᵦ) / e                  ν = e⁴ / ((s²ₐ/nₐ)²/(nₐ − 1) + (s²ᵦ/nᵦ)²/(nᵦ − 1))
    Cohen's d           (x̄ₐ − x̄ᵦ) / √(((nₐ − 1)·s²ₐ + (nᵦ − 1)·s²ᵦ) / (nₐ + nᵦ − 2))

Values are whole millionths, so means and variances are computed from exact sums. ``scipy.stats.ttest_ind`` computes them from
floats, and warns of lost precision where all values of a group are the same; the tests compare with it.

Sources: Welch: The generalization of "Student's" problem when several different population variances are involved, Biometrika
34 (1947). Mann and Whitney, Annals of Mathematical Statistics 18 (1947). Cohen: Statistical power analysis for the behavioral
sciences, 2nd edition, 1988, section 2.2.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from app.mastery.evidence import MILLIONTHS
from app.mastery.formula import DECIMALS

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05

# Up to so many pairs, SciPy may compute the exact distribution of U: 0.05 s. It does so for any size if one group has at most
# eight students and no two values are equal; 8 × 20,000 take 5 s, and p changes by 2 %.
EXACT_PAIRS = 10_000


class EffectSize(StrEnum):
    """Cohen's words for the size of a difference."""

    NEGLIGIBLE = "negligible"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


_SMALLEST = ((0.8, EffectSize.LARGE), (0.5, EffectSize.MEDIUM), (0.2, EffectSize.SMALL), (0.0, EffectSize.NEGLIGIBLE))


class ConfidenceInterval(Struct, frozen=True):
    """From where to where, with a confidence of 95 %. May reach beyond 0..1, the range of the values."""

    lower: float
    upper: float


class Sample(Struct, frozen=True):
    """The values of one group.

    Attributes:
        students: how many values.
        mean: 0..1.
        standard_deviation: of the sample: its squares are divided by ``students`` − 1.
        confidence_interval: of the mean, by Student's t; None if all values are the same.
    """

    students: int
    mean: float
    standard_deviation: float
    confidence_interval: ConfidenceInterval | None


class Difference(Struct, frozen=True):
    """The mean of a minus that of b, with Welch's interval; None if all values within each group are the same."""

    mean: float
    confidence_interval: ConfidenceInterval | None


class Effect(Struct, frozen=True):
    """The difference in pooled standard deviations, and in words. None if all values within each group are the same."""

    cohens_d: float | None
    size: EffectSize | None


class WelchTest(Struct, frozen=True):
    """Welch's t-test, two-sided: whether the means differ."""

    t: float
    degrees_of_freedom: float
    p: float


class MannWhitneyTest(Struct, frozen=True):
    """The test of Mann and Whitney, two-sided: whether the values of one group tend to be higher.

    Attributes:
        u: in how many pairs of a student of a and one of b the first has the higher value; equal ones count a half.
        p: None if all values are the same.
        superiority: ``u`` as a share of all pairs, 0..1.
    """

    u: float
    p: float | None
    superiority: float


class TwoSamples(Struct, frozen=True):
    """Two groups by one metric. ``welch`` is None if all values within each group are the same."""

    cohort_a: Sample
    cohort_b: Sample
    difference: Difference
    effect: Effect
    welch: WelchTest | None
    mann_whitney: MannWhitneyTest


def compare_samples(a: Sequence[int], b: Sequence[int]) -> TwoSamples:
    """Compare two groups of at least two values each, in millionths.

    Returns:
        Fractions, rounded to six decimals, except p.
    """
    of_a, of_b = _moments(a), _moments(b)
    difference = (of_a.total * of_b.number - of_b.total * of_a.number) / (of_a.number * of_b.number) / MILLIONTHS
    error = math.sqrt(of_a.squared_error + of_b.squared_error)
    degrees = _degrees_of_freedom(of_a, of_b) if error else None
    return TwoSamples(
        _sample(of_a),
        _sample(of_b),
        Difference(round(difference, DECIMALS), _interval(difference, error, degrees)),
        _effect(difference, of_a, of_b),
        _welch(difference, error, degrees),
        _mann_whitney(a, b),
    )


def effect_size(cohens_d: float) -> EffectSize:
    """The size of a difference in words."""
    return next(size for smallest, size in _SMALLEST if abs(cohens_d) >= smallest)


class _Moments(NamedTuple):
    number: int
    total: int  # millionths
    variance: float  # of the sample, of fractions

    @property
    def mean(self) -> float:
        return self.total / self.number / MILLIONTHS

    @property
    def squared_error(self) -> float:
        return self.variance / self.number


def _moments(values: Sequence[int]) -> _Moments:
    number, total, squares = len(values), sum(values), sum(each * each for each in values)
    return _Moments(number, total, (number * squares - total * total) / (number * (number - 1)) / MILLIONTHS**2)


def _sample(of: _Moments) -> Sample:
    interval = _interval(of.mean, math.sqrt(of.squared_error), of.number - 1 if of.variance else None)
    return Sample(of.number, round(of.mean, DECIMALS), round(math.sqrt(of.variance), DECIMALS), interval)


def _degrees_of_freedom(a: _Moments, b: _Moments) -> float:
    of_a, of_b = a.squared_error, b.squared_error
    return (of_a + of_b) ** 2 / (of_a**2 / (a.number - 1) + of_b**2 / (b.number - 1))


def _interval(mean: float, error: float, degrees: float | None) -> ConfidenceInterval | None:
    if degrees is None:
        return None
    # It takes more than a second and 60 MB, which only workers pay; the API imports this module too.
    from scipy import stats  # noqa: PLC0415

    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * error
    return ConfidenceInterval(round(mean - reach, DECIMALS), round(mean + reach, DECIMALS))


def _effect(difference: float, a: _Moments, b: _Moments) -> Effect:
    pooled = ((a.number - 1) * a.variance + (b.number - 1) * b.variance) / (a.number + b.number - 2)
    if not pooled:
        return Effect(None, None)
    cohens_d = round(difference / math.sqrt(pooled), DECIMALS)
    return Effect(cohens_d, effect_size(cohens_d))


def _welch(difference: float, error: float, degrees: float | None) -> WelchTest | None:
    if degrees is None:
        return None
    from scipy import stats  # noqa: PLC0415 - as above

    t = difference / error
    return WelchTest(round(t, DECIMALS), round(degrees, DECIMALS), 2 * float(stats.t.sf(abs(t), degrees)))


def _mann_whitney(a: Sequence[int], b: Sequence[int]) -> MannWhitneyTest:
    from scipy import stats  # noqa: PLC0415 - as above

    pairs = len(a) * len(b)
    tested = stats.mannwhitneyu(a, b, alternative="two-sided", method="auto" if pairs <= EXACT_PAIRS else "asymptotic")
    u = float(tested.statistic)
    is_defined = min(*a, *b) < max(*a, *b)
    return MannWhitneyTest(u, float(tested.pvalue) if is_defined else None, round(u / pairs, DECIMALS))
