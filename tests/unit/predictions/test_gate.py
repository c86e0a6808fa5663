"""What answers: the method with the lowest error, a simpler one within 1 %, none that is worse than "stays as it is"."""

import pytest

from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LAST_VALUE, LEARNED, ForecastErrors
from app.predictions.gate import answerer


def errors(mae: float, rmse: float, number: int = FEWEST_FORECASTS) -> ForecastErrors:
    return ForecastErrors(number, mae * number, rmse * rmse * number, number, number)


@pytest.mark.parametrize(
    ("base", "learned", "expected"),
    [
        ((0.1, 0.2), (0.09, 0.2), LEARNED),
        ((0.08, 0.2), (0.0795, 0.2), BASE),  # less than 1 % better
        ((0.08, 0.2), (0.07, 0.203), BASE),  # more than 1 % worse in RMSE than "stays as it is"
        ((0.08, 0.203), (0.09, 0.2), LEARNED),
        ((0.102, 0.2), (0.11, 0.2), LAST_VALUE),
        ((0.1, 0.203), (0.11, 0.2), LAST_VALUE),
        ((0.1009, 0.2019), (0.11, 0.2), BASE),  # no worse, so it answers: the test cannot show what it is best at
        ((0.1, 0.2), (0.1, 0.2), BASE),
    ],
)
def test_the_rule(base: tuple[float, float], learned: tuple[float, float], expected: str) -> None:
    """Mean absolute error and RMSE of each; "stays as it is" has 0.1 and 0.2."""
    assert answerer({LAST_VALUE: errors(0.1, 0.2), BASE: errors(*base), LEARNED: errors(*learned)}) == expected


def test_too_few_forecasts() -> None:
    """They say nothing, however good they were."""
    few = FEWEST_FORECASTS - 1
    found = {LAST_VALUE: errors(0.1, 0.2, few), BASE: errors(0.1, 0.2, few), LEARNED: errors(0.01, 0.02, few)}
    assert answerer(found) is None


def test_what_has_no_errors() -> None:
    """Nothing is better than what is always right."""
    assert answerer({LAST_VALUE: errors(0, 0), BASE: errors(0.001, 0.001), LEARNED: errors(0, 0)}) == LAST_VALUE
    assert answerer({LAST_VALUE: errors(0, 0), BASE: errors(0, 0), LEARNED: errors(0, 0)}) == BASE
