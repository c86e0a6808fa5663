"""Gradient-boosted regression trees as plain data, and what they answer. Pure; needs no machine-learning library.

A prediction is ``baseline`` plus the value of one leaf of each tree. In a node, a row goes left if its feature is at most the
threshold, or if the feature is NaN and the node says so. Source: J. H. Friedman, "Greedy function approximation: a gradient
boosting machine", Annals of Statistics 29 (2001); the nodes are those of scikit-learn's histogram trees.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from app.predictions.daily_history import Floats, Ints, Mask

ROWS_AT_ONCE = 2_000  # with 120 trees, what is worked on fits in a processor's cache


class Tree(Struct, frozen=True, array_like=True):
    """One tree: a list of each property of its nodes; the root is the first. In a leaf, ``left`` is 0.

    ``value`` is a leaf's value, and the threshold of any other node.
    """

    feature: list[int]
    value: list[float]
    left: list[int]
    right: list[int]
    nan_left: list[int]


class BoostedTrees(Struct, frozen=True, dict=True):
    """The trees of one prediction."""

    baseline: float
    trees: list[Tree]

    @cached_property
    def _nodes(self) -> "_Nodes":
        return _Nodes.of(self.trees)

    def predict(self, features: Floats) -> Floats:
        """Predict each row: (rows, features) → (rows)."""
        parts = [self._nodes.sums(features[start : start + ROWS_AT_ONCE]) for start in range(0, len(features), ROWS_AT_ONCE)]
        return np.asarray(np.concatenate(parts) + self.baseline) if parts else np.zeros(0)


class _Nodes(NamedTuple):
    """All nodes of all trees, deepest tree first, in one array each; ``roots`` has the first node of each tree.

    A leaf leads to itself. ``deeper[n]`` is the number of trees with more than n steps to their deepest leaf.
    """

    feature: Ints
    value: Floats
    left: Ints
    right: Ints
    nan_left: Mask
    roots: Ints
    deeper: list[int]

    @classmethod
    def of(cls, trees: list[Tree]) -> "_Nodes":
        depths = sorted(map(_depth, trees), reverse=True)
        trees = sorted(trees, key=_depth, reverse=True)
        sizes = [len(tree.feature) for tree in trees]
        roots = np.cumsum([0, *sizes])[:-1]
        own = np.arange(sum(sizes))
        starts = np.repeat(roots, sizes)
        left, right = (np.concatenate([np.array(getattr(tree, side)) for tree in trees]) for side in ("left", "right"))
        return cls(
            np.concatenate([np.array(tree.feature) for tree in trees]),
            np.concatenate([np.array(tree.value) for tree in trees]),
            np.where(left > 0, left + starts, own),
            np.where(left > 0, right + starts, own),
            np.concatenate([np.array(tree.nan_left, dtype=bool) for tree in trees]),
            roots,
            [sum(depth > step for depth in depths) for step in range(depths[0])],
        )

    def sums(self, features: Floats) -> Floats:
        """The sum of the leaves of each row: (rows, features) → (rows)."""
        at = np.tile(self.roots, (len(features), 1)).T  # (trees, rows)
        columns = np.ascontiguousarray(features.T)
        rows = np.arange(len(features))
        for trees in self.deeper:
            node = at[:trees]
            values = columns[self.feature[node], rows]
            goes_left = (values <= self.value[node]) | (np.isnan(values) & self.nan_left[node])
            at[:trees] = np.where(goes_left, self.left[node], self.right[node])
        return np.asarray(self.value[at].sum(axis=0))


def _depth(tree: Tree) -> int:
    """The number of steps from the root to the deepest leaf. Children come after their parents."""
    depth = [0] * len(tree.left)
    for node, (left, right) in enumerate(zip(tree.left, tree.right, strict=True)):
        if left:
            depth[left] = depth[right] = depth[node] + 1
    return max(depth)
