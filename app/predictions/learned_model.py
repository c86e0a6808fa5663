"""The learned model: boosted trees for the change until ``HORIZON_DAYS`` later, and for the ends of an 80 % interval. Pure.

    score = carried + trees(features)          carried: what is known already: evidence leaves the retention window

The ends are trees, too, moved apart by as much as past forecasts of the same group of evidence were missed: conformalized
quantile regression. Source: Y. Romano, E. Patterson, E. Candès, "Conformalized quantile regression", NeurIPS 2019.
"""

from typing import NamedTuple

import numpy as np
from msgspec import Struct

from app.mastery.formula import DECIMALS
from app.predictions.boosted_trees import BoostedTrees
from app.predictions.conformal import careful_share, conformal_quantile
from app.predictions.daily_history import Floats, Ints
from app.predictions.evidence_groups import PerGroup, per_group
from app.predictions.origins import Origins

INTERVAL_LEVEL = 0.8
# Where the history is long, many scores do not move, and are covered whatever the margin; and margins are those of models that
# saw fewer cohorts than the one that answers. So this share is enough: with 0.8, 84 % of cohorts never seen were covered.
SETTLED_LEVEL = 0.73
# That is known only of groups that several cohorts have: no part of the cohorts has a larger share of the errors.
LARGEST_SHARE = 0.8


class Forecasts(NamedTuple):
    """Scores in ``HORIZON_DAYS``, 0..1, one for each origin, each with an interval: lower ≤ point ≤ upper."""

    point: Floats
    lower: Floats
    upper: Floats


class LearnedModel(Struct, frozen=True):
    """Trees and margins. ``features`` are the names of the features that they were trained with, in their order."""

    features: tuple[str, ...]
    median: BoostedTrees
    lower: BoostedTrees
    upper: BoostedTrees
    margins: PerGroup

    def forecast(self, of: Origins) -> Forecasts:
        """Forecast the score of each origin."""
        raw = raw_forecasts(self.median, self.lower, self.upper, of)
        margin = self.margins.of(of.group)
        return bounded(raw.point, raw.lower - margin, raw.upper + margin)


def raw_forecasts(median: BoostedTrees, lower: BoostedTrees, upper: BoostedTrees, of: Origins) -> Forecasts:
    """What the trees say, before margins."""
    point, low, high = (of.carried + trees.predict(of.features) for trees in (median, lower, upper))
    return bounded(point, low, high)


def margins(raw: Forecasts, of: Origins, part: Ints) -> PerGroup:
    """The margins with which past forecasts would have had the outcome inside, in the wanted share of each group.

    That is ``INTERVAL_LEVEL``, or ``SETTLED_LEVEL`` for students with a long history, and more where there are few errors.
    ``part`` says which of the parts of the cohorts each origin is of; each part was forecast by a model of the others.

    Returns:
        By how much intervals are widened, or narrowed if negative.
    """
    missed = np.maximum(raw.lower - of.outcome, of.outcome - raw.upper)

    def margin(rows: Ints, settled: bool) -> float:
        return conformal_quantile(missed[rows], wanted_share(part[rows], settled))

    return per_group(of.group, margin)


def wanted_share(part: Ints, settled: bool) -> float:
    """The share of a group's past outcomes that has to be inside: of students with a long history, if it is ``settled``."""
    several = np.bincount(part).max() <= LARGEST_SHARE * len(part)
    return careful_share(SETTLED_LEVEL if settled and several else INTERVAL_LEVEL, len(part))


def bounded(point: Floats, lower: Floats, upper: Floats) -> Forecasts:
    """Forecasts within 0..1, rounded as scores are, each inside its interval."""
    point, lower, upper = (np.asarray(np.clip(values, 0.0, 1.0)).round(DECIMALS) for values in (point, lower, upper))
    return Forecasts(point, np.minimum(lower, point), np.maximum(upper, point))
