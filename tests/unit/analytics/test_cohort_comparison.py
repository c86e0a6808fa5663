"""What a comparison of two cohorts says: metrics, levels, and each sentence of the summary."""

import random
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import pytest

from app.analytics.cohort_comparison import CohortComparison, CohortValues, cohort_comparison, level_shares
from app.analytics.comparison_summary import (
    NOT_CAUSE,
    NOT_INDEPENDENT,
    NOT_SIZE,
    _number,
    _p,
    _tests,
    comparison_summary,
)
from app.analytics.two_samples import MannWhitneyTest, TwoSamples, WelchTest, compare_samples
from app.clock import day_number
from app.mastery.formula import classify
from app.mastery.rankings import Metric

TODAY = day_number(date(2026, 10, 28))
LOW, HIGH = [100_000, 200_000, 300_000, 400_000, 500_000], [600_000, 700_000, 800_000, 900_000, 1_000_000]


def compare(a: Mapping[Metric, Sequence[int]], b: Mapping[Metric, Sequence[int]], day: int = TODAY) -> CohortComparison:
    """By the given metrics; in the others, nobody has evidence."""
    of_a, of_b = (
        CohortValues(name, {metric: of.get(metric, []) for metric in Metric}) for name, of in (("a-1", a), ("b-1", b))
    )
    return cohort_comparison(of_a, of_b, day, today=TODAY)


def by_mastery(a: Sequence[int], b: Sequence[int]) -> list[str]:
    return compare({Metric.MASTERY: a}, {Metric.MASTERY: b}).summary


MISSING = [
    f"{component} is not compared: fewer than 5 students of a-1 and of b-1 have evidence in it."
    for component in ("Completion", "Quiz", "Quality", "Consistency")
]
BY_CHANCE = (
    "The t-test compares 1 metric: if the cohorts did not differ at all, up to 5% of such answers would still find a "
    "difference in one of them by chance."
)
EACH_WITH_EACH = "which compares each student of the one cohort with each of the other"
OPPOSITE = ", but in opposite directions: {0} has the higher mean, and of two students the one of {1} is more often the higher."
NO_INTERVAL = "The difference has no confidence interval, since all values within each cohort are the same."


def test_a_clear_difference() -> None:
    """Means 0.3 and 0.8, both variances 0.025: t = -5 with eight degrees of freedom, the interval 0.5 ± 2.306 · 0.1."""
    higher = "The mean mastery of {} is 0.500 higher than that of {}: 0.800 and 0.300."
    interval = "The 95% confidence interval of the difference, 0.269 to 0.731, does not include 0."
    assert by_mastery(LOW, HIGH) == [
        f"{higher.format('b-1', 'a-1')} {interval}",
        "In standard deviations the difference is 3.162 (Cohen's d): a large one by Cohen's bounds.",
        "Both tests find a difference at the level of 0.05 (Welch's t-test: p = 0.001; Mann–Whitney test: p = 0.008).",
        NOT_SIZE,
        NOT_INDEPENDENT,
        BY_CHANCE,
        NOT_CAUSE,
        *MISSING,
    ]
    assert by_mastery(HIGH, LOW)[0] == f"{higher.format('a-1', 'b-1')} {interval}"


def test_no_clear_difference() -> None:
    """The interval includes 0, whichever is higher, and that is no proof of equality."""
    a_little_higher = [each + 50_000 for each in LOW]
    for a, b in ((LOW, a_little_higher), (a_little_higher, LOW)):
        means, size, tests, *_ = by_mastery(a, b)
        assert means.endswith("The 95% confidence interval of the difference, -0.181 to 0.281, includes 0.")
        assert size == "In standard deviations the difference is 0.316 (Cohen's d): a small one by Cohen's bounds."
        assert tests == (
            "Neither test finds a difference at the level of 0.05 (Welch's t-test: p = 0.631; Mann–Whitney test: p = 0.690); "
            "that does not show that there is none."
        )


def test_equal_means() -> None:
    """None is called the higher."""
    means, size, *_ = by_mastery(LOW, LOW)
    interval = "The 95% confidence interval of the difference, -0.231 to 0.231, includes 0."
    assert means == f"The mean mastery of a-1 and b-1 is the same: 0.300. {interval}"
    assert size == "In standard deviations the difference is 0.000 (Cohen's d): a negligible one by Cohen's bounds."


def test_all_values_are_the_same() -> None:
    """No test is defined: nothing is said of p where there is none."""
    assert by_mastery([500_000] * 5, [500_000] * 6) == [
        f"The mean mastery of a-1 and b-1 is the same: 0.500. {NO_INTERVAL}",
        "Cohen's d, the difference in standard deviations, is not defined, since all values within each cohort are the same.",
        "Neither test is defined, since all values of both cohorts are the same.",
        NOT_CAUSE,
        *MISSING,
    ]


def test_no_spread_within_the_cohorts() -> None:
    """One test is defined, and the sentence says which."""
    means, _, tests, *_ = by_mastery([500_000] * 5, [400_000] * 6)
    assert means == f"The mean mastery of a-1 is 0.100 higher than that of b-1: 0.500 and 0.400. {NO_INTERVAL}"
    not_defined = "Welch's t-test is not defined, since all values within each cohort are the same"
    assert tests == f"{not_defined}; the Mann–Whitney test finds a difference at the level of 0.05 (p = 0.002)."


def result(t: float, p: float, superiority: float, p_of_ranks: float) -> TwoSamples:
    """A comparison with these tests."""
    found, ranks = compare_samples(LOW, HIGH), MannWhitneyTest(25 * superiority, p_of_ranks, superiority)
    return msgspec.structs.replace(found, welch=WelchTest(t, 8.0, p), mann_whitney=ranks)


@pytest.mark.parametrize(
    ("found", "finding", "numbers", "explanation"),
    [
        (
            result(2, 0.04, 0.6, 0.06),
            "The two tests disagree",
            "Welch's t-test: p = 0.040; Mann–Whitney test: p = 0.060",
            ": only the t-test, which compares means, finds a difference.",
        ),
        (
            result(1, 0.05, 0.9, 0.049),
            "The two tests disagree",
            "Welch's t-test: p = 0.050000; Mann–Whitney test: p = 0.049",
            f": only the Mann–Whitney test, {EACH_WITH_EACH}, finds a difference.",
        ),
        (
            result(3, 0.01, 0.3, 0.0001),
            "Both tests find a difference",
            "Welch's t-test: p = 0.010; Mann–Whitney test: p < 0.001",
            OPPOSITE.format("a-1", "b-1"),
        ),
        (
            result(-3, 0.01, 0.7, 0.0001),
            "Both tests find a difference",
            "Welch's t-test: p = 0.010; Mann–Whitney test: p < 0.001",
            OPPOSITE.format("b-1", "a-1"),
        ),
    ],
)
def test_tests_that_disagree(found: TwoSamples, finding: str, numbers: str, explanation: str) -> None:
    """They ask different questions."""
    assert _tests("a-1", "b-1", found) == f"{finding} at the level of 0.05 ({numbers}){explanation}"


def test_a_skewed_cohort_lets_the_tests_disagree_in_fact() -> None:
    """Some very high values raise the mean of a, while most of its values are below those of b."""
    a = [100_000 + at for at in range(140)] + [900_000 + at for at in range(60)]
    b = [200_000 + at for at in range(200)]
    assert by_mastery(a, b)[2].endswith(OPPOSITE.format("a-1", "b-1"))


def test_components() -> None:
    """Each is compared where five students of both cohorts have evidence; else it is null, and a sentence says of whom."""
    a = {Metric.MASTERY: LOW, Metric.QUIZ: LOW, Metric.QUALITY: LOW, Metric.CONSISTENCY: LOW[:4]}
    b = {Metric.MASTERY: HIGH, Metric.QUIZ: HIGH, Metric.QUALITY: HIGH[:4], Metric.CONSISTENCY: HIGH}
    found = compare(a, b)
    assert list(found.metrics) == list(Metric)
    assert found.metrics[Metric.QUIZ] == found.metrics[Metric.MASTERY] == compare_samples(LOW, HIGH)
    assert [name for name, each in found.metrics.items() if each is None] == ["completion", "quality", "consistency"]
    assert found.summary[-4:] == [
        NOT_CAUSE,
        "Completion is not compared: fewer than 5 students of a-1 and of b-1 have evidence in it.",
        "Quality is not compared: fewer than 5 students of b-1 have evidence in it.",
        "Consistency is not compared: fewer than 5 students of a-1 have evidence in it.",
    ]
    assert "The t-test compares 2 metrics: if the cohorts did not differ at all, up to 10% of" in found.summary[5]


def test_a_metric_without_a_test_is_not_one_of_the_tests() -> None:
    """It cannot find a difference by chance."""
    same = [500_000] * 5
    found = compare(
        {Metric.MASTERY: LOW, Metric.QUIZ: same, Metric.QUALITY: LOW},
        {Metric.MASTERY: HIGH, Metric.QUIZ: same, Metric.QUALITY: HIGH},
    )
    assert found.summary[5].startswith("The t-test compares 2 metrics")


def test_five_metrics_find_something_by_chance_as_often_as_the_sentence_says() -> None:
    """In a fifth to a quarter of comparisons of two cohorts that do not differ."""
    rng = random.Random(4)

    def values() -> list[int]:
        return [round(min(max(rng.gauss(0.5, 0.15), 0), 1) * 1_000_000) for _ in range(12)]

    found = 0
    for _ in range(200):
        tests = [compare_samples(values(), values()).welch for _ in Metric]
        found += any(each.p < 0.05 for each in tests if each)
    assert 0.15 < found / 200 < 0.3
    equal = dict.fromkeys(Metric, LOW)
    assert "compares 5 metrics: if the cohorts did not differ at all, up to 25% of" in compare(equal, equal).summary[5]


def test_scores_of_an_earlier_day() -> None:
    """The last sentence says so; today's need none."""
    values = {Metric.MASTERY: LOW}
    late = compare(values, values, TODAY - 1)
    assert late.date == date(2026, 10, 27)
    assert late.summary[-1] == "The refresh after midnight has not ended: scores may still be of 2026-10-27."
    assert compare(values, values).summary == late.summary[:-1]


@pytest.mark.parametrize("seed", range(5))
def test_levels(seed: int) -> None:
    """As each student alone is classified; a floor belongs to the level above it."""
    rng, floors = random.Random(seed), [0, 400_000, 600_000, 750_000, 900_000, 1_000_000]
    values = sorted(
        min(max(rng.choice(floors) + rng.choice([-1, 0, 1, rng.randint(0, 99_999)]), 0), 1_000_000) for _ in range(30)
    )
    found = level_shares(values)
    levels = [classify(each / 1_000_000) for each in values]
    for level, share in found.items():
        assert (share.students, share.share) == (levels.count(level), round(levels.count(level) / 30, 6))
    assert list(found) == ["beginner", "developing", "competent", "proficient", "expert"]


def test_cohorts_as_they_are_told() -> None:
    """Nothing that JSON does not have; each number is defined or null."""
    values = {Metric.MASTERY: LOW, Metric.QUIZ: [500_000] * 5}
    told: Any = msgspec.json.decode(msgspec.json.encode(compare(values, values)))
    assert told == msgspec.to_builtins(compare(values, values))
    assert (told["cohort_a"]["cohort_id"], told["cohort_b"]["students"], told["date"]) == ("a-1", 5, "2026-10-28")
    assert told["metrics"]["quiz"]["welch"] is told["metrics"]["quiz"]["effect"]["cohens_d"] is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (0.5, "0.500"),
        (0.0004, "0.000400"),
        (-0.0004, "-0.000400"),
        (0.9999, "0.999900"),
        (1.0, "1.000"),
    ],
)
def test_numbers_in_sentences(value: float, shown: str) -> None:
    """A small number is not shown as none."""
    assert _number(value) == shown


@pytest.mark.parametrize(
    ("p", "shown"),
    [(1.0, "p = 1.000"), (0.0496, "p = 0.049600"), (0.0504, "p = 0.050400"), (0.0009, "p < 0.001"), (0.0, "p < 0.001")],
)
def test_p_in_sentences(p: float, shown: str) -> None:
    """On which side of 0.05 it lies can be seen."""
    assert _p(p) == shown


def test_the_interval_and_the_t_test_agree() -> None:
    """Also where the bound is rounded to 0."""
    found = compare_samples(LOW, HIGH)
    assert found.difference.confidence_interval is not None
    touching = msgspec.structs.replace(
        found,
        difference=msgspec.structs.replace(
            found.difference, confidence_interval=msgspec.structs.replace(found.difference.confidence_interval, upper=-0.0)
        ),
    )
    first, *_ = comparison_summary("a-1", "b-1", touching, [], {}, None)
    assert first.endswith("0.000 to 0.731, does not include 0.")
