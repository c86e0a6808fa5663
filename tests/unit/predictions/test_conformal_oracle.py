"""MAPIE, a library for conformal prediction, gives the same intervals from the same quantiles and past outcomes."""

import numpy as np
import pytest
from mapie.regression import ConformalizedQuantileRegressor
from sklearn.dummy import DummyRegressor

from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.conformal import careful_share
from app.predictions.learned_model import INTERVAL_LEVEL, LearnedModel, margins, raw_forecasts
from tests.unit.predictions.cohorts import made_up

SCORE, SPREAD = 0.5, 0.08  # of everybody


def always(change: float) -> BoostedTrees:
    """Trees that say the same of everybody."""
    return BoostedTrees(change, [Tree([0], [0.0], [0], [0], [0])])


@pytest.mark.parametrize("number", [150, 400, 1_000, 4_321])
@pytest.mark.parametrize("width", [0.0, 0.05, 0.3])
def test_intervals_are_those_of_mapie(number: int, width: float) -> None:
    """Whether the trees' interval was too narrow or too wide."""
    outcome = np.random.default_rng(number).normal(SCORE, SPREAD, number)
    past = made_up(outcome)
    median, lower, upper = always(0.0), always(-width), always(width)
    found = margins(raw_forecasts(median, lower, upper, past), past, np.arange(number) % 2)
    ours = LearnedModel(("nothing",), median, lower, upper, found).forecast(past)

    quantiles = [
        DummyRegressor(strategy="constant", constant=SCORE + change).fit(past.features, outcome)
        for change in (-width, width, 0.0)
    ]
    oracle = ConformalizedQuantileRegressor(
        quantiles, confidence_level=careful_share(INTERVAL_LEVEL, number), prefit=True
    ).conformalize(past.features, outcome)
    _, theirs = oracle.predict_interval(past.features, symmetric_correction=True)
    np.testing.assert_allclose([ours.lower, ours.upper], theirs[:, :, 0].T, atol=1e-6)
