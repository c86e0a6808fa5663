"""The trend is the sign of the least-squares slope over fourteen days."""

import pytest

from app.mastery.trend import Trend, historical_average, slope, trend

TODAY = 20_000


def rising_by(step: float) -> dict[int, float]:
    return {TODAY - 13 + i: 0.3 + step * i for i in range(14)}


def test_the_slope_of_a_line_is_its_steepness() -> None:
    """A steady rise of 0.01 a day has slope 0.01."""
    assert slope(rising_by(0.01), TODAY) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0.01, Trend.IMPROVING),
        (0.0021, Trend.IMPROVING),
        (0.0019, Trend.STABLE),
        (0.0, Trend.STABLE),
        (-0.0019, Trend.STABLE),
        (-0.0021, Trend.DECLINING),
        (-0.02, Trend.DECLINING),
    ],
)
def test_it_is_stable_within_two_thousandths_a_day(step: float, expected: Trend) -> None:
    """Less than 0.002 a day is noise."""
    assert trend(rising_by(step), TODAY) is expected


def test_days_before_the_first_evidence_do_not_count() -> None:
    """A student with one bad quiz ten days ago and nothing since is not improving."""
    assert trend({TODAY - 10 + i: 0.09 for i in range(11)}, TODAY) is Trend.STABLE


def test_a_short_history_has_the_slope_of_its_own_days() -> None:
    """Evidence of the last five days that rises by 0.01 a day has slope 0.01."""
    assert slope({TODAY - 4 + i: 0.3 + 0.01 * i for i in range(5)}, TODAY) == pytest.approx(0.01)


@pytest.mark.parametrize(("days", "expected"), [(1, Trend.STABLE), (2, Trend.STABLE), (3, Trend.IMPROVING)])
def test_fewer_than_three_days_are_no_trend(days: int, expected: Trend) -> None:
    """Two points are always on a line."""
    assert trend({TODAY - days + 1 + i: 0.1 * i for i in range(days)}, TODAY) is expected


def test_older_days_do_not_matter() -> None:
    """A fall three weeks ago is not a decline now."""
    assert trend({TODAY - 20 + i: 1.0 if i < 7 else 0.5 for i in range(21)}, TODAY) is Trend.STABLE


def test_the_historical_average_is_the_mean_of_all_days() -> None:
    """It counts every day since the first evidence, not only the days of the trend."""
    assert historical_average({TODAY: 0.5, TODAY - 20: 0.2, TODAY - 40: 0.1}) == 0.266667
