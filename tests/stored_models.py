"""A small model, as it is stored."""

from typing import Any

import numpy as np

from app.clock import day_number
from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.evidence_groups import PerGroup
from app.predictions.features import feature_names
from app.predictions.forecast_errors import BASE, LAST_VALUE, LEARNED, ForecastErrors
from app.predictions.learned_model import LearnedModel
from app.predictions.past_errors import Quantiles, error_quantiles
from app.predictions.risk import RiskModel, Scaling
from app.predictions.risk_gate import RiskMeasures, RiskTest
from app.predictions.stored_model import FORMAT, BackTest, ModelContent, ModelSummary
from tests.conftest import NOW

TREES = BoostedTrees(0.0, [Tree([0, 0, 0], [0.5, 0.1, -0.1], [1, 0, 0], [2, 0, 0], [1, 0, 0])])
ERRORS = {LAST_VALUE: ForecastErrors(600, 60, 12, 500, 480), BASE: ForecastErrors(600, 50, 10, 500, 480)}
TESTED = BackTest({**ERRORS, LEARNED: ForecastErrors(600, 30, 6, 500, 480)}, LEARNED)

# Of the table, of the rule, and of a learned risk that answers.
RISK_TESTED = RiskTest(
    tested=700,
    at_risk=200,
    base=RiskMeasures(0.6, 0.09, 0.5),
    rule=RiskMeasures(0.4, None, None),
    learned=RiskMeasures(0.7, 0.04, 0.4),
    answers=True,
)
RISK = RiskModel(feature_names(), TREES, Scaling(1.0, 0.0))


def past_errors() -> Quantiles:
    return error_quantiles(np.array([0.5, 0.5]), np.array([0.4, 0.6]), np.array([0, 0]), np.array([0, 0]))


CONTENT = ModelContent(LearnedModel(feature_names(), TREES, TREES, TREES, PerGroup({}, {}, 0.0)), past_errors(), past_errors())


def summary(version: str, tenant: str = "t", **changes: Any) -> ModelSummary:
    values = {
        "format": FORMAT,
        "version": version,
        "tenant": tenant,
        "trained_at": NOW,
        "last_day": day_number(NOW) - 1,
        "students": 60,
        "origins": 1_500,
        "features": feature_names(),
        "overall": TESTED,
        "cohorts": {"c-1": TESTED},
    }
    return ModelSummary(**{**values, **changes})
