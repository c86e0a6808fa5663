"""Intervals from the errors that past forecasts had."""

import pytest

from app.mastery.formula import Components
from app.mastery.trend import Trend
from app.predictions.error_quantiles import ALL, Evidence, IntervalTable, groups, interval, widest_interval
from app.predictions.forecast_model import base_intervals

EVIDENCE = Evidence(Components(0.5, None, 0.7, 0.0), Trend.STABLE, 46, Trend.IMPROVING)
TABLE = IntervalTable(
    0.8,
    (1, 7, 14),
    {
        "1011/stable": ((-0.01, 0.02), (-0.07, 0.14), (-0.1, 0.2)),
        "1011": ((-0.5, 0.5),) * 3,
        ALL: ((0.0, 0.0), (-0.2, 0.0), (-0.3, 0.0)),
    },
)


def test_the_groups_of_a_student() -> None:
    """From the finest to all; a component counts if there is evidence, whatever the score."""
    assert groups(EVIDENCE) == ["1011/stable/long/improving", "1011/stable/long", "1011/stable", "1011", "all"]


@pytest.mark.parametrize(("days", "age"), [(3, "new"), (13, "new"), (14, "recent"), (45, "recent"), (46, "long")])
def test_ages(days: int, age: str) -> None:
    assert groups(EVIDENCE._replace(history_days=days))[1] == f"1011/stable/{age}"


@pytest.mark.parametrize(
    ("horizon", "lower", "upper"), [(1, 0.49, 0.52), (4, 0.46, 0.58), (7, 0.43, 0.64), (14, 0.4, 0.7), (21, 0.37, 0.76)]
)
def test_the_finest_group_in_the_table_counts(horizon: int, lower: float, upper: float) -> None:
    """Between and beyond the horizons of the table, the ends are on straight lines."""
    found = interval(0.5, EVIDENCE, horizon, TABLE)
    assert [found.lower, found.upper, found.level] == pytest.approx([lower, upper, 0.8])


def test_a_group_that_is_not_in_the_table() -> None:
    """It falls back, at last to all; ends stay within 0 and 1."""
    declining = EVIDENCE._replace(trend=Trend.DECLINING)
    assert interval(0.6, declining, 7, TABLE).lower == pytest.approx(0.1)
    assert interval(0.6, declining, 7, TABLE).upper == 1.0
    assert interval(0.1, declining._replace(components=Components()), 7, TABLE).lower == 0.0


def test_the_widest_interval_has_all_others() -> None:
    assert [widest_interval(0.5, 7, TABLE).lower, widest_interval(0.4, 14, TABLE).upper] == pytest.approx([0.0, 0.9])


def test_the_table_of_a_new_engine() -> None:
    """Each group has an interval at each horizon that contains the forecast, and grows with the horizon."""
    table = base_intervals()
    assert (table.level, table.horizons) == (0.8, (1, 3, 7, 14, 21, 30))
    assert len(table.errors) > 100
    for errors in table.errors.values():
        assert len(errors) == len(table.horizons)
        assert all(lower <= 0 <= upper for lower, upper in errors)
        assert list(errors) == sorted(errors, key=lambda each: each[1])
        assert [each[0] for each in errors] == sorted((each[0] for each in errors), reverse=True)
