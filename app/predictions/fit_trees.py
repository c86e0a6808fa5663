"""Fits boosted trees with scikit-learn. Only what trains imports this module: ``train_model.py``."""

from enum import Enum
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.daily_history import Floats

# Chosen by back-tests on cohorts left out; twice as many trees or leaves change the errors by less than 1 %.
_SHAPE: dict[str, Any] = {
    "max_iter": 120,
    "learning_rate": 0.08,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 200,
    "l2_regularization": 1.0,
    "early_stopping": False,  # it would need rows of its own
    "random_state": 0,  # the same rows give the same trees
}
_DIGITS = 7  # of leaves: more would change no score. Thresholds are exact, since features lie close to them
_LARGEST = 1e300  # instead of infinity, which JSON lacks: a threshold that only NaN does not reach


class Target(Enum):
    """What is fitted: the median, the ends of an interval, or a probability (its log odds).

    The ends are fitted a little inside an 80 % interval, and margins move them outwards. Many scores do not change at all: if
    ends are at these, as those of 80 % are, moving them inwards would leave out all of these scores at once, so nothing moves.
    """

    MEDIAN = 0.5
    LOWER = 0.13
    UPPER = 0.87
    LOG_ODDS = None


def fit_trees(features: Floats, values: Floats, target: Target) -> BoostedTrees:
    """Fit trees to values: (rows, features), (rows); for a probability, values are 0 or 1, and both occur."""
    if target is Target.LOG_ODDS:
        fitted: Any = HistGradientBoostingClassifier(**_SHAPE)
    elif target is Target.MEDIAN:
        fitted = HistGradientBoostingRegressor(loss="absolute_error", **_SHAPE)
    else:
        fitted = HistGradientBoostingRegressor(loss="quantile", quantile=target.value, **_SHAPE)
    # scikit-learn 1.9 fails if no row has a feature, such as the score of quizzes in a course without any.
    features = np.where(np.isnan(features).all(axis=0), 0.0, features)
    with threadpool_limits(1):  # more threads wait for each other, actively, as soon as something else runs on the machine
        fitted.fit(features, values)
    # Private, since scikit-learn offers no other way to read these trees; a test compares the answers.
    trees = [_tree(predictor.nodes) for (predictor,) in fitted._predictors]
    return BoostedTrees(float(fitted._baseline_prediction.ravel()[0]), trees)


def _tree(nodes: Any) -> Tree:
    is_leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        [0 if leaf else int(feature) for leaf, feature in zip(is_leaf, nodes["feature_idx"], strict=True)],
        [
            float(f"{value:.{_DIGITS}g}") if leaf else float(min(threshold, _LARGEST))
            for leaf, value, threshold in zip(is_leaf, nodes["value"], nodes["num_threshold"], strict=True)
        ],
        [0 if leaf else int(left) for leaf, left in zip(is_leaf, nodes["left"], strict=True)],
        [0 if leaf else int(right) for leaf, right in zip(is_leaf, nodes["right"], strict=True)],
        [int(side) for side in nodes["missing_go_to_left"]],
    )
