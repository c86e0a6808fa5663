"""Errors of forecasts add up, and decide which method answers."""

import numpy as np
import pytest

from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LAST_VALUE, LEARNED, ForecastErrors, best_method, errors_of


def errors(mae: float, rmse: float | None = None, number: int = FEWEST_FORECASTS) -> ForecastErrors:
    """Errors with these means."""
    return ForecastErrors(number, mae * number, (mae if rmse is None else rmse) ** 2 * number)


def test_errors_by_hand() -> None:
    """Of three forecasts, the last one exactly 0.1 off, two of them inside their intervals."""
    point, outcome = np.array([0.5, 0.2, 0.7]), np.array([0.5, 0.6, 0.8])
    found = errors_of(point, outcome, point - 0.1, point + 0.1 + 1e-9)
    assert (found.number, found.close, found.inside) == (3, 2, 2)
    assert found.mae == pytest.approx(0.5 / 3)
    assert found.rmse == pytest.approx((0.17 / 3) ** 0.5)
    assert [found.within_010, found.interval_coverage] == pytest.approx([2 / 3, 2 / 3])


def test_without_an_interval_nothing_is_inside() -> None:
    """A method that gives only a score covers nothing."""
    assert errors_of(np.array([0.5]), np.array([0.5])).inside == 0


def test_errors_of_nothing_are_zero() -> None:
    """No forecast: no error, and no division by zero."""
    nothing = errors_of(np.zeros(0), np.zeros(0))
    assert (nothing.mae, nothing.rmse, nothing.within_010, nothing.interval_coverage) == (0.0, 0.0, 0.0, 0.0)


def test_errors_add_up() -> None:
    """The errors of two halves are those of the whole."""
    rng = np.random.default_rng(0)
    point, outcome = rng.random(20), rng.random(20)
    whole = errors_of(point, outcome, point - 0.2, point + 0.2)
    halves = [errors_of(point[part], outcome[part], point[part] - 0.2, point[part] + 0.2) for part in (slice(9), slice(9, 20))]
    assert halves[0].plus(halves[1]) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("last", "base", "learned", "best"),
    [
        (errors(0.05), errors(0.04), errors(0.03), LEARNED),
        (errors(0.05), errors(0.04), errors(0.0397), BASE),  # not better by more than 1 %
        (errors(0.05), errors(0.0496), errors(0.0496), LAST_VALUE),
        (errors(0.05), errors(0.06), errors(0.07), LAST_VALUE),
        (errors(0.05, 0.1), errors(0.04, 0.1), errors(0.03, 0.102), BASE),  # large errors are larger than "stays as it is" has
        (errors(0.05), errors(0.06), errors(0.03), LEARNED),
    ],
)
def test_the_best_method_answers(last: ForecastErrors, base: ForecastErrors, learned: ForecastErrors, best: str) -> None:
    """The lowest mean absolute error wins; the simpler method if it is close; none is worse than "stays as it is"."""
    assert best_method({LAST_VALUE: last, BASE: base, LEARNED: learned}) == best


def test_there_may_be_no_learned_model() -> None:
    """Then the others are compared."""
    assert best_method({LAST_VALUE: errors(0.05), BASE: errors(0.04)}) == BASE


def test_few_forecasts_tell_nothing() -> None:
    """One less than needed: no verdict."""
    few = errors(0.05, number=FEWEST_FORECASTS - 1)
    assert best_method({LAST_VALUE: few, BASE: few}) is None


def test_errors_of_another_number_have_the_same_means() -> None:
    """Also of none; of no errors, there is nothing."""
    found = ForecastErrors(10, 1.0, 0.2, 6, 8).scaled(100)
    assert (found.number, found.mae, found.rmse, found.within_010, found.interval_coverage) == pytest.approx(
        (100, 0.1, 0.02**0.5, 0.6, 0.8)
    )
    assert ForecastErrors().scaled(5) == ForecastErrors(5)
