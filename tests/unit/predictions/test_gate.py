"""What answers: the base model, unless the learned one was clearly better in each week of the test."""

import pytest

from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LAST_VALUE, LEARNED, ForecastErrors
from app.predictions.gate import answerer

Week = dict[str, ForecastErrors]


def week(mae: float, rmse: float, number: int = FEWEST_FORECASTS) -> Week:
    """A week in which the learned model has these errors, the base model 0.1 and 0.2, and "stays as it is" hardly any."""
    errors = {LAST_VALUE: (0.001, 0.001), BASE: (0.1, 0.2), LEARNED: (mae, rmse)}
    return {
        name: ForecastErrors(number, mae * number, rmse * rmse * number, number, number) for name, (mae, rmse) in errors.items()
    }


@pytest.mark.parametrize(
    ("weeks", "expected"),
    [
        ([week(0.09, 0.2), week(0.09, 0.2)], LEARNED),
        ([week(0.094, 0.2), week(0.01, 0.01)], LEARNED),
        ([week(0.096, 0.2), week(0.01, 0.01)], BASE),  # less than 5 % better in one of them
        ([week(0.01, 0.01), week(0.096, 0.2)], BASE),
        ([week(0.09, 0.201), week(0.01, 0.01)], BASE),  # worse in RMSE
        ([week(0.01, 0.01), week(0.01, 0.01, 0)], BASE),  # nothing was forecast in one of them
    ],
)
def test_the_rule(weeks: list[Week], expected: str) -> None:
    """Both weeks count; "stays as it is" never answers, however good it was."""
    assert answerer(weeks) == expected


def test_too_few_forecasts() -> None:
    """They say nothing, however good they were; those of both weeks count together."""
    half = FEWEST_FORECASTS // 2
    assert answerer([week(0.01, 0.02, half), week(0.01, 0.02, half - 1)]) is None
    assert answerer([week(0.01, 0.02, half), week(0.01, 0.02, half)]) == LEARNED
    assert answerer([]) is None


def test_what_has_no_errors() -> None:
    """Nothing is better than what is always right."""
    none = ForecastErrors(FEWEST_FORECASTS)
    assert answerer([dict.fromkeys((LAST_VALUE, BASE, LEARNED), none)] * 2) == BASE
