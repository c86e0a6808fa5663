"""Trees as plain data answer what scikit-learn's trees answer."""

from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from app.predictions import fit_trees as fitting
from app.predictions.boosted_trees import ROWS_AT_ONCE, BoostedTrees, Tree
from app.predictions.daily_history import Floats
from app.predictions.fit_trees import Target, fit_trees

ROUNDING = 1e-6  # leaves have seven digits; scores have six decimals

REFERENCES: dict[Target, Any] = {
    Target.MEDIAN: HistGradientBoostingRegressor(loss="absolute_error", **fitting._SHAPE),
    Target.LOWER: HistGradientBoostingRegressor(loss="quantile", quantile=Target.LOWER.value, **fitting._SHAPE),
    Target.UPPER: HistGradientBoostingRegressor(loss="quantile", quantile=Target.UPPER.value, **fitting._SHAPE),
    Target.LOG_ODDS: HistGradientBoostingClassifier(**fitting._SHAPE),
}

# x0 ≤ 0.5 → 1, NaN too; else x1 ≤ 2 → 10; else, and NaN, 100. And a second tree, which is a leaf.
BY_HAND = BoostedTrees(
    0.25,
    [
        Tree([0, 0, 1, 0, 0], [0.5, 1.0, 2.0, 10.0, 100.0], [1, 0, 3, 0, 0], [2, 0, 4, 0, 0], [1, 0, 0, 0, 0]),
        Tree([0], [1000.0], [0], [0], [0]),
    ],
)


def random_rows(number: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Features of which a fifth is NaN, one only NaN or 1, and values that depend on them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number, 6))
    features[:, 5] = 1.0
    features[rng.random(features.shape) < 0.2] = np.nan
    values = np.nan_to_num(features[:, 0]) ** 2 + 0.5 * np.isnan(features[:, 1]) + np.isnan(features[:, 5])
    return features, values + rng.normal(0, 0.3, number)


def test_a_feature_that_no_row_has() -> None:
    """As in a course without quizzes: it says nothing, also where it has a value later."""
    features, values = random_rows(1_000)
    features[:, 1] = np.nan
    fitted = fit_trees(features, values, Target.MEDIAN)
    later = features.copy()
    later[:, 1] = 1.0
    assert np.ptp(fitted.predict(features)) > 0.5
    assert fitted.predict(later).tolist() == fitted.predict(features).tolist()


@pytest.mark.parametrize("target", Target)
def test_the_answers_are_those_of_scikit_learn(target: Target) -> None:
    """Of each target, on rows that were not trained with, with NaN; also after they were stored as JSON."""
    features, values = random_rows(4_000)
    values = (values > 0.5).astype(float) if target is Target.LOG_ODDS else values
    unseen, _ = random_rows(1_000, seed=1)
    with threadpool_limits(1):
        reference = REFERENCES[target].fit(features, values)
        expected = reference.decision_function(unseen) if target is Target.LOG_ODDS else reference.predict(unseen)
    fitted = fit_trees(features, values, target)
    stored = msgspec.json.decode(msgspec.json.encode(fitted), type=BoostedTrees)
    assert stored == fitted
    assert np.ptp(expected) > 0.5
    for trees in (fitted, stored):
        np.testing.assert_allclose(trees.predict(unseen), expected, rtol=0, atol=ROUNDING)


def test_the_same_rows_give_the_same_trees() -> None:
    """Nothing is random."""
    features, values = random_rows(2_000)
    assert fit_trees(features, values, Target.LOWER) == fit_trees(features, values, Target.LOWER)


def test_few_rows_give_leaves_only() -> None:
    """Fewer rows than two leaves need: everybody gets the median."""
    features, values = random_rows(100)
    fitted = fit_trees(features, values, Target.MEDIAN)
    assert {len(tree.feature) for tree in fitted.trees} == {1}
    np.testing.assert_allclose(fitted.predict(features), np.median(values), rtol=0, atol=0.1)


def test_a_row_alone_is_a_row_among_many() -> None:
    """Also beyond the number of rows that are worked on at once."""
    features, values = random_rows(2_000)
    fitted = fit_trees(features, values, Target.MEDIAN)
    many, _ = random_rows(2 * ROWS_AT_ONCE + 1, seed=2)
    together = fitted.predict(many)
    assert together.shape == (len(many),)
    for row in (0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE):
        np.testing.assert_allclose(fitted.predict(many[row : row + 1]), together[row], rtol=0, atol=1e-12)


def test_no_rows_have_no_answers() -> None:
    """An empty table gives an empty array."""
    assert BY_HAND.predict(np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    ("row", "leaf"),
    [
        ((0.5, 9.0), 1),  # at most the threshold
        ((0.6, 2.0), 10),
        ((0.6, 2.1), 100),
        ((np.nan, 2.1), 1),  # the root sends NaN to the left
        ((0.6, np.nan), 100),  # the other node to the right
        ((-np.inf, 0.0), 1),
        ((np.inf, np.inf), 100),
    ],
)
def test_a_tree_by_hand(row: tuple[float, float], leaf: float) -> None:
    """Baseline, plus the leaf that the row reaches in each tree."""
    assert BY_HAND.predict(np.array([row])).tolist() == [0.25 + leaf + 1000]


def test_a_split_of_nan_against_the_rest_is_stored_as_json() -> None:
    """scikit-learn's threshold is infinity there, which JSON lacks; every number goes to the left all the same."""
    values = np.tile([0.0, 1.0], 500)
    fitted = fit_trees(np.where(values > 0, np.nan, 5.0).reshape(-1, 1), values, Target.MEDIAN)
    stored = msgspec.json.decode(msgspec.json.encode(fitted), type=BoostedTrees)
    thresholds = {tree.value[0] for tree in stored.trees if len(tree.feature) > 1}
    assert thresholds
    assert all(1e100 < each < np.inf for each in thresholds)
    low, high, huge = stored.predict(np.array([[5.0], [np.nan], [1e200]]))
    assert low == huge < high
