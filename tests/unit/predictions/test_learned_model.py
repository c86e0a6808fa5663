"""Intervals that are as wide as past forecasts were wrong."""

import msgspec
import numpy as np
import pytest

from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.conformal import careful_share, conformal_quantile
from app.predictions.daily_history import Floats, Ints
from app.predictions.evidence_groups import FEWEST_ERRORS, GROUPS_PER_SET, PerGroup, describe, is_settled
from app.predictions.learned_model import (
    INTERVAL_LEVEL,
    SETTLED_LEVEL,
    Forecasts,
    LearnedModel,
    margins,
    raw_forecasts,
)
from app.predictions.origins import Origins
from tests.unit.predictions.cohorts import made_up

LEAF = Tree([0], [0.0], [0], [0], [0])
NO_MARGINS = PerGroup({}, {}, 0.0)


def always(change: float) -> BoostedTrees:
    """Trees that say the same of everybody."""
    return BoostedTrees(change, [LEAF])


def model_of(median: float, lower: float, upper: float, margins: PerGroup = NO_MARGINS) -> LearnedModel:
    return LearnedModel(("nothing",), always(median), always(lower), always(upper), margins)


def margins_of(raw: Forecasts, of: Origins) -> PerGroup:
    """The margins if the errors are of two parts of the cohorts in turn."""
    return margins(raw, of, np.arange(len(of.score)) % 2)


def missed_by(errors: Floats) -> tuple[Forecasts, Floats]:
    """Forecasts of 0.4 to 0.6, and outcomes that lie outside by these errors, or inside if negative; on both sides in turn."""
    rows = np.arange(len(errors))
    outcome = np.where(rows % 2, 0.4 - errors, 0.6 + errors)
    point = np.full(len(errors), 0.5)
    return Forecasts(point, point - 0.1, point + 0.1), outcome


@pytest.mark.parametrize("number", [1, 50, 10_000])
def test_a_margin_is_the_careful_quantile(number: int) -> None:
    """Of by how much past outcomes were outside; also of errors inside, which narrow an interval."""
    errors = np.random.default_rng(0).permutation(np.arange(1, number + 1) / 100_000 - 0.02)
    raw, outcome = missed_by(errors)
    expected = conformal_quantile(errors, careful_share(INTERVAL_LEVEL, number))
    assert margins_of(raw, made_up(outcome)).overall == pytest.approx(expected)


def test_groups_with_few_errors_take_the_widest_margin() -> None:
    """Of the groups with as long a history; if there are none, that of all."""
    sizes = {0: FEWEST_ERRORS, 3: FEWEST_ERRORS, 6: FEWEST_ERRORS - 1, 1: FEWEST_ERRORS - 1}
    of_group = {0: 0.02, 3: 0.01, 6: 0.04, 1: 0.03}
    group = np.repeat(list(sizes), list(sizes.values()))
    raw, outcome = missed_by(np.array([of_group[each] for each in group]))
    found = margins_of(raw, made_up(outcome, group=group))
    assert found.groups == pytest.approx({0: 0.02, 3: 0.01})
    assert found.overall == pytest.approx(0.04)
    assert [describe(each).split("; ")[-1] for each in (0, 3, 6, GROUPS_PER_SET)] == ["less than 14 days"] * 4
    asked = np.array([0, 3, 6, GROUPS_PER_SET, 1, 2])
    assert found.of(asked) == pytest.approx([0.02, 0.01, 0.02, 0.02, 0.04, 0.04])


@pytest.mark.parametrize(
    ("of_first_part", "level"), [(0.5, SETTLED_LEVEL), (0.79, SETTLED_LEVEL), (0.81, INTERVAL_LEVEL), (1.0, INTERVAL_LEVEL)]
)
def test_students_with_a_long_history_need_less_if_several_cohorts_say_so(of_first_part: float, level: float) -> None:
    """Their margin is that of a smaller share of past forecasts, unless nearly all of these are of one part of the cohorts."""
    settled, number = GROUPS_PER_SET - 1, 9_999
    assert (is_settled(settled), is_settled(settled - 1)) == (True, False)
    raw, outcome = missed_by(np.arange(1, number + 1) / 100_000)
    part = (np.random.default_rng(0).permutation(number) >= of_first_part * number).astype(np.int64)
    found = margins(raw, made_up(outcome, group=np.full(number, settled)), part)
    assert found.groups == pytest.approx({settled: careful_share(level, number) / 10}, abs=2e-5)
    assert found.overall == pytest.approx(careful_share(INTERVAL_LEVEL, number) / 10, abs=2e-5)


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
    """Careful as it is, of new outcomes in each group, whether the trees' interval was too narrow or too wide."""
    rng = np.random.default_rng(1)
    spread = np.array([0.01, 0.05])  # groups whose outcomes are more or less certain
    number = 12_000
    model = model_of(0.0, -width, width)

    def drawn() -> tuple[Floats, Ints]:
        group = rng.integers(0, 2, number, np.int64)  # none of these is settled
        return 0.5 + rng.normal(0, spread[group]), group

    outcome, group = drawn()
    past = made_up(outcome, group=group)
    raw = raw_forecasts(model.median, model.lower, model.upper, past)
    calibrated = model_of(0.0, -width, width, margins_of(raw, past))
    outcome, group = drawn()
    found = calibrated.forecast(made_up(outcome, group=group))
    inside = (found.lower <= outcome) & (outcome <= found.upper)
    for each in range(2):
        assert inside[group == each].mean() == pytest.approx(careful_share(INTERVAL_LEVEL, number // 2), abs=0.015)


def test_groups_of_few_alike_errors_are_covered_all_the_same() -> None:
    """Errors come by the dozen: those of one student are the same. Nine of ten groups of 40 students are covered by 80 %.

    With the share that independent errors need, six of ten are.
    """
    rng = np.random.default_rng(2)
    students, days, groups = 40, 15, 200
    covered = 0
    for _ in range(groups):
        errors = np.repeat(rng.normal(0, 0.02, students), days)
        point = np.full(len(errors), 0.5)
        margin = margins_of(Forecasts(point, point, point), made_up(point + errors)).overall
        covered += bool((np.abs(rng.normal(0, 0.02, 4_000)) <= margin).mean() >= INTERVAL_LEVEL)
    assert covered / groups >= 0.85


def test_a_model_is_stored_as_json() -> None:
    """It says the same afterwards."""
    model = model_of(0.01, -0.1, 0.1, PerGroup({3: 0.25}, {1: -0.5}, 0.125))
    stored = msgspec.json.decode(msgspec.json.encode(model), type=LearnedModel)
    assert stored == model
    of = made_up(np.full(2, np.nan), group=np.array([3, 4]))
    assert stored.forecast(of).lower.tolist() == model.forecast(of).lower.tolist()


def test_no_origins_have_no_forecasts() -> None:
    """An empty cohort has empty answers."""
    assert [len(each) for each in model_of(0.0, -0.1, 0.1).forecast(made_up(np.zeros(0)))] == [0, 0, 0]
