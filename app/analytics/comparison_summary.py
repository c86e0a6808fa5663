"""Says in sentences what a comparison of two cohorts means, and what it does not mean. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from app.analytics.comparison import EARLIER_SCORES
from app.analytics.two_samples import CONFIDENCE, SIGNIFICANCE, EffectSize, TwoSamples, WelchTest
from app.consent.consent import FEWEST_IN_STATISTICS
from app.mastery.formula import DECIMALS
from app.mastery.rankings import Metric

SHOWN_DECIMALS = 3  # more would be read as accuracy; the numbers beside the sentences have six

NOT_SIZE = "A small p does not mean a large difference, but one that chance alone would seldom make."
NOT_CAUSE = "The students were not assigned to the cohorts by chance, so a difference does not tell its cause."
NOT_INDEPENDENT = (
    "The tests take the students as independent of each other; where those who learn together are alike, p is too small."
)
NO_SPREAD = "all values within each cohort are the same"


def comparison_summary(
    a: str,
    b: str,
    mastery: TwoSamples,
    components: Sequence[TwoSamples],
    too_few: Mapping[Metric, Sequence[str]],
    outdated: date | None,
) -> list[str]:
    """Sum up the comparison of the cohorts a and b.

    Args:
        a: id of the one cohort.
        b: id of the other.
        mastery: the comparison by mastery.
        components: those by the components that are compared.
        too_few: by each other component, the cohorts in which too few students have evidence.
        outdated: of which earlier day the scores may be; None if they are of today.

    Returns:
        The sentences.
    """
    return [
        _means(a, b, mastery),
        _size(mastery),
        _tests(a, b, mastery),
        *_limits([mastery, *components]),
        *(_left_out(metric, cohorts) for metric, cohorts in too_few.items()),
        *([EARLIER_SCORES.format(outdated.isoformat())] if outdated else []),
    ]


def _means(a: str, b: str, found: TwoSamples) -> str:
    """Which mean is higher by how much, with the interval; as the difference of the higher from the lower one."""
    difference, interval = found.difference.mean, found.difference.confidence_interval
    means = {a: found.cohort_a.mean, b: found.cohort_b.mean}
    higher, lower = (b, a) if difference < 0 else (a, b)
    if difference:
        told = (
            f"The mean mastery of {higher} is {_number(abs(difference))} higher than that of {lower}: "
            f"{_number(means[higher])} and {_number(means[lower])}."
        )
    else:
        told = f"The mean mastery of {a} and {b} is the same: {_number(means[a])}."
    if interval is None or found.welch is None:
        return f"{told} The difference has no confidence interval, since {NO_SPREAD}."
    bounds = (-interval.upper, -interval.lower) if difference < 0 else (interval.lower, interval.upper)
    # Zero is in the interval exactly if p is not below 0.05; the bounds are rounded.
    includes = "does not include 0" if _is_significant(found.welch.p) else "includes 0"
    low, high = map(_number, bounds)
    return f"{told} The {CONFIDENCE:.0%} confidence interval of the difference, {low} to {high}, {includes}."


def _size(found: TwoSamples) -> str:
    cohens_d, size = found.effect.cohens_d, found.effect.size
    if cohens_d is None or size is None:
        return f"Cohen's d, the difference in standard deviations, is not defined, since {NO_SPREAD}."
    article = "a negligible" if size is EffectSize.NEGLIGIBLE else f"a {size}"
    return f"In standard deviations the difference is {_number(abs(cohens_d))} (Cohen's d): {article} one by Cohen's bounds."


def _tests(a: str, b: str, found: TwoSamples) -> str:
    """Whether the two tests agree."""
    by_means, by_pairs = found.welch, found.mann_whitney
    if by_pairs.p is None:
        return "Neither test is defined, since all values of both cohorts are the same."
    if by_means is None:
        return (
            f"Welch's t-test is not defined, since {NO_SPREAD}; the Mann–Whitney test finds "
            f"{'a' if _is_significant(by_pairs.p) else 'no'} difference at the level of {SIGNIFICANCE} ({_p(by_pairs.p)})."
        )
    numbers = f"at the level of {SIGNIFICANCE} (Welch's t-test: {_p(by_means.p)}; Mann–Whitney test: {_p(by_pairs.p)})"
    match _is_significant(by_means.p), _is_significant(by_pairs.p):
        case False, False:
            return f"Neither test finds a difference {numbers}; that does not show that there is none."
        case True, False:
            return f"The two tests disagree {numbers}: only the t-test, which compares means, finds a difference."
        case False, True:
            return (
                f"The two tests disagree {numbers}: only the Mann–Whitney test, which compares each student of the one cohort "
                "with each of the other, finds a difference."
            )
        case _:
            return _both(a, b, found, by_means, numbers)


def _both(a: str, b: str, found: TwoSamples, by_means: WelchTest, numbers: str) -> str:
    """Both tests find a difference; it may be in opposite directions."""
    by_mean, by_pair = by_means.t > 0, found.mann_whitney.superiority > 1 / 2
    if by_mean == by_pair:
        return f"Both tests find a difference {numbers}."
    return (
        f"Both tests find a difference {numbers}, but in opposite directions: {a if by_mean else b} has the higher mean, and "
        f"of two students the one of {a if by_pair else b} is more often the higher."
    )


def _limits(compared: Sequence[TwoSamples]) -> Iterator[str]:
    """What the numbers do not mean. The probability of at least one p below 0.05 is at most the sum of the probabilities."""
    tested = sum(each.welch is not None for each in compared)
    if tested:
        yield NOT_SIZE
        yield NOT_INDEPENDENT
        yield (
            f"The t-test compares {tested} metric{'s' if tested > 1 else ''}: if the cohorts did not differ at all, "
            f"up to {tested * SIGNIFICANCE:.0%} of such answers would still find a difference in one of them by chance."
        )
    yield NOT_CAUSE


def _left_out(metric: Metric, cohorts: Sequence[str]) -> str:
    return (
        f"{metric.capitalize()} is not compared: fewer than {FEWEST_IN_STATISTICS} students of {' and of '.join(cohorts)} "
        "have evidence in it."
    )


def _is_significant(p: float) -> bool:
    return p < SIGNIFICANCE


def _number(value: float) -> str:
    """Three decimals, but more if else it would be 0, or 1, which it is not quite."""
    value += 0.0  # -0.0 becomes 0.0
    shown = f"{value:.{SHOWN_DECIMALS}f}"
    return f"{value:.{DECIMALS}f}" if float(shown) in {0.0, 1.0} and value != float(shown) else shown


def _p(p: float) -> str:
    """Three decimals, but more if else it would be 0.05, which it is not quite."""
    if p < 10**-SHOWN_DECIMALS:
        return f"p < {10**-SHOWN_DECIMALS}"
    shown = f"{p:.{SHOWN_DECIMALS}f}"
    return f"p = {p:.{DECIMALS}f}" if float(shown) == SIGNIFICANCE else f"p = {shown}"
