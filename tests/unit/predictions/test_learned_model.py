"""Intervals that are as wide as past forecasts were wrong."""

import msgspec
import numpy as np
import pytest

from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.daily_history import Floats, Ints
from app.predictions.evidence_groups import FEWEST_ERRORS, GROUPS_PER_SET, PerGroup, is_settled
from app.predictions.learned_model import (
    INTERVAL_LEVEL,
    SETTLED_LEVEL,
    Forecasts,
    LearnedModel,
    margins,
    raw_forecasts,
)
from tests.unit.predictions.cohorts import made_up

LEAF = Tree([0], [0.0], [0], [0], [0])
NO_MARGINS = PerGroup({}, {}, 0.0)


def always(change: float) -> BoostedTrees:
    """Trees that say the same of everybody."""
    return BoostedTrees(change, [LEAF])


def model_of(median: float, lower: float, upper: float, margins: PerGroup = NO_MARGINS) -> LearnedModel:
    return LearnedModel(("nothing",), always(median), always(lower), always(upper), margins)


def missed_by(errors: Floats) -> tuple[Forecasts, Floats]:
    """Forecasts of 0.4 to 0.6, and outcomes that lie outside by these errors, or inside if negative; on both sides in turn."""
    rows = np.arange(len(errors))
    outcome = np.where(rows % 2, 0.4 - errors, 0.6 + errors)
    point = np.full(len(errors), 0.5)
    return Forecasts(point, point - 0.1, point + 0.1), outcome


@pytest.mark.parametrize(
    ("number", "rank"),
    [(1, 1), (3, 3), (4, 4), (5, 5), (9, 8), (10, 9), (99, 80), (100, 81), (999, 800)],
)
def test_a_margin_is_the_conformal_quantile(number: int, rank: int) -> None:
    """The ⌈0.8 · (n + 1)⌉-th smallest of n errors, the largest if there are fewer; also for errors inside, which narrow it."""
    errors = np.random.default_rng(0).permutation(np.arange(1, number + 1) / 10_000 - 0.02)
    raw, outcome = missed_by(errors)
    assert margins(raw, made_up(outcome)).overall == pytest.approx(rank / 10_000 - 0.02)


def test_groups_with_few_errors_take_the_margin_of_their_components() -> None:
    """And components with few errors that of all."""
    sizes = {0: FEWEST_ERRORS, 1: FEWEST_ERRORS - 1, GROUPS_PER_SET: FEWEST_ERRORS - 1}
    of_group = {0: 0.01, 1: 0.02, GROUPS_PER_SET: 0.03}
    group = np.repeat(list(sizes), list(sizes.values()))
    raw, outcome = missed_by(np.array([of_group[each] for each in group]))
    found = margins(raw, made_up(outcome, group=group))
    assert found.groups == pytest.approx({0: 0.01})
    assert found.sets == pytest.approx({0: 0.02})
    assert found.overall == pytest.approx(0.03)
    asked = np.array([0, 1, 2, GROUPS_PER_SET, 100])
    assert found.of(asked) == pytest.approx([0.01, 0.02, 0.02, 0.03, 0.03])


def test_students_with_a_long_history_need_less() -> None:
    """Their margin is that of a smaller share of past forecasts."""
    settled = GROUPS_PER_SET - 1
    assert (is_settled(settled), is_settled(settled - 1)) == (True, False)
    raw, outcome = missed_by(np.arange(1, 1_000) / 10_000)
    found = margins(raw, made_up(outcome, group=np.full(999, settled)))
    assert found.groups == pytest.approx({settled: SETTLED_LEVEL / 10})
    assert found.overall == pytest.approx(INTERVAL_LEVEL / 10)


def test_a_margin_moves_both_ends() -> None:
    """Apart, or, if past forecasts were better than expected, together, but never past the point."""
    of = made_up(np.full(3, np.nan), group=np.array([0, 1, 2]))
    found = model_of(0.0, -0.1, 0.2, PerGroup({0: 0.05, 1: -0.05, 2: -0.5}, {}, 0.0)).forecast(of)
    assert found.point.tolist() == [0.5, 0.5, 0.5]
    assert found.lower == pytest.approx([0.35, 0.45, 0.5])
    assert found.upper == pytest.approx([0.75, 0.65, 0.5])


@pytest.mark.parametrize("change", [-0.9, -0.3, 0.0, 0.3, 0.9])
def test_forecasts_are_scores_within_their_interval(change: float) -> None:
    """Whatever the trees say, even if the ends cross: lower ≤ point ≤ upper, all of them 0..1, with six decimals."""
    of = made_up(np.full(2, np.nan))
    for low, high in ((-0.2, 0.2), (0.2, -0.2), (-2.0, -1.0), (1.0, 2.0)):
        found = model_of(change, change + low, change + high).forecast(of)
        assert (found.lower <= found.point).all()
        assert (found.point <= found.upper).all()
        assert found.lower.min() >= 0.0
        assert found.upper.max() <= 1.0
        assert found.point.tolist() == [pytest.approx(min(max(0.5 + change, 0.0), 1.0), abs=1e-6)] * 2


@pytest.mark.parametrize("width", [0.0, 0.05, 0.4])
def test_intervals_cover_what_they_promise(width: float) -> None:
    """80 % of new outcomes in each group with enough errors, whether the trees' interval was too narrow or too wide."""
    rng = np.random.default_rng(1)
    spread = np.array([0.01, 0.03, 0.06])  # groups whose outcomes are more or less certain
    model = model_of(0.0, -width, width)

    def drawn(number: int) -> tuple[Floats, Ints]:
        group = rng.integers(0, 3, number, np.int64)
        return 0.5 + rng.normal(0, spread[group]), group

    outcome, group = drawn(12_000)
    past = made_up(outcome, group=group)
    raw = raw_forecasts(model.median, model.lower, model.upper, past)
    calibrated = model_of(0.0, -width, width, margins(raw, past))
    outcome, group = drawn(12_000)
    found = calibrated.forecast(made_up(outcome, group=group))
    inside = (found.lower <= outcome) & (outcome <= found.upper)
    assert inside.mean() == pytest.approx(0.8, abs=0.015)
    for each in range(3):
        assert inside[group == each].mean() == pytest.approx(0.8, abs=0.03)


def test_a_model_is_stored_as_json() -> None:
    """It says the same afterwards."""
    model = model_of(0.01, -0.1, 0.1, PerGroup({3: 0.25}, {0: -0.5}, 0.125))
    stored = msgspec.json.decode(msgspec.json.encode(model), type=LearnedModel)
    assert stored == model
    of = made_up(np.full(2, np.nan), group=np.array([3, 4]))
    assert stored.forecast(of).lower.tolist() == model.forecast(of).lower.tolist()


def test_no_origins_have_no_forecasts() -> None:
    """An empty cohort has empty answers."""
    assert [len(each) for each in model_of(0.0, -0.1, 0.1).forecast(made_up(np.zeros(0)))] == [0, 0, 0]
