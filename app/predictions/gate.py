"""Decides what answers: "stays as it is", the base model or the learned one, from their errors in a back-test. Pure.

``best_method`` of ``forecast_errors.py`` has the rule. A model is tested on the facts that the engine still has, and among them
no evidence ever leaves the retention window. The base model differs from "stays as it is" mainly in what it does then: on data
with whole histories its MAE is 15 % lower (``base_model.py``). So it answers wherever it is no worse in the test.
"""

from collections.abc import Mapping

from app.predictions.forecast_errors import BASE, LAST_VALUE, TOLERANCE, ForecastErrors, best_method


def answerer(errors: Mapping[str, ForecastErrors]) -> str | None:
    """Decide which method answers for the students whose forecasts had these errors; there are those of all methods.

    Returns:
        The method; None if there are too few forecasts to tell.
    """
    best = best_method(errors)
    if best == LAST_VALUE and _is_no_worse(errors[BASE], errors[LAST_VALUE]):
        return BASE
    return best


def _is_no_worse(one: ForecastErrors, other: ForecastErrors) -> bool:
    return one.mae <= other.mae * (1 + TOLERANCE) and one.rmse <= other.rmse * (1 + TOLERANCE)
