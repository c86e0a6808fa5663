"""Makes a student's forecast from the facts. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.clock import Day
from app.mastery.components import mastery_history, window_components, window_on
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts, Window
from app.mastery.formula import DECIMALS, Components, coverage
from app.mastery.trend import trend, trend_of
from app.predictions.base_model import REGRESSION_DAYS, base_forecasts, carried_scores, regression_slope, regression_slopes
from app.predictions.confidence import confidence
from app.predictions.error_quantiles import Evidence, IntervalTable, interval, widest_interval
from app.predictions.forecast import MOST_DAYS, WEEK, Forecast, Predicted, has_history
from app.predictions.forecast_model import BASE_MODEL, ForecastModel
from app.predictions.intervention import Signs


class Means(NamedTuple):
    """What forecasts are made with: a model, past errors of the base model, and the length of the retention window in days."""

    model: ForecastModel
    intervals: IntervalTable
    retention_days: int


_EACH_DAY = range(1, MOST_DAYS + 1)


def make_forecast(record: StudentRecord, today: Day, *, means: Means, only_week: bool = False) -> Forecast:
    """Forecast a student's mastery from the facts of the retention window that ends today; ``record`` has some.

    Returns:
        The forecast; without the single days if ``only_week``.
    """
    model, intervals, retention_days = means
    daily, components = mastery_history(record.days, today)
    past = list(daily.values())[-REGRESSION_DAYS:]
    slope = float(regression_slopes(np.array([past]))[0]) if only_week else regression_slope(past)
    evidence = Evidence(components, trend(daily, today), len(daily), trend_of(slope))
    horizons = (WEEK,) if only_week else _EACH_DAY
    if has_history(len(daily)):
        carried = carried_scores(record.days, today, components, horizons, retention_days)
        base = _base(carried, slope, horizons, evidence, intervals)
        future = corrected(base, model.week_ahead(record, today, base[WEEK]))
    else:  # no model answers, since the group of evidence is not known yet: the current score, in the widest interval
        model = BASE_MODEL
        future = {horizon: _unknown(past[-1], horizon, intervals) for horizon in horizons}
    idle_days, covered = today - max(record.days), coverage(components)
    return Forecast(
        day=today,
        cohort_id=record.cohort_id,
        current=past[-1],
        week_ahead=future[WEEK],
        past=[] if only_week else past,
        future=[] if only_week else list(future.values()),
        level=intervals.level,
        trend=evidence.regression_trend,
        history_days=len(daily),
        idle_days=idle_days,
        coverage=covered,
        confidence=confidence(len(daily), covered, idle_days),
        signs=signs_of(record.days, window_on(record.days, today, retention_days), slope),
        model=model.name,
        model_version=model.version,
    )


def corrected(base: Mapping[int, Predicted], week_ahead: Predicted) -> dict[int, Predicted]:
    """The base model's forecasts by horizon, moved so that the seventh is the model's: in equal steps, and then by as much."""
    corrections = [of_model - of_base for of_model, of_base in zip(week_ahead, base[WEEK], strict=True)]
    moved = {}
    for horizon, each in base.items():
        share = min(horizon / WEEK, 1.0)
        score, lower, upper = (
            round(min(max(value + share * more, 0.0), 1.0), DECIMALS) for value, more in zip(each, corrections, strict=True)
        )
        moved[horizon] = Predicted(score, min(lower, score), max(upper, score))
    return moved


def _base(
    carried: Sequence[float], slope: float, horizons: Sequence[int], evidence: Evidence, intervals: IntervalTable
) -> dict[int, Predicted]:
    points = base_forecasts(np.array([carried]), np.array([slope]), horizons)[0].tolist()
    found = {}
    for horizon, point in zip(horizons, points, strict=True):
        around = interval(point, evidence, horizon, intervals)
        found[horizon] = Predicted(point, around.lower, around.upper)
    return found


def _unknown(score: float, horizon: int, intervals: IntervalTable) -> Predicted:
    around = widest_interval(score, horizon, intervals)
    return Predicted(score, around.lower, around.upper)


def signs_of(days: Mapping[Day, DayFacts], window: Window, slope: float) -> Signs:
    """What a teacher would look at, from a student's facts, their window, and the slope of the daily mastery."""
    components = window_components(window)
    return Signs(
        slope=slope,
        inactive_days=window.day - (window.newest_active_day or max(days)),
        completed=window.completed,
        total=window.total,
        quiz=components.quiz,
        without_evidence=[name for name, score in zip(Components._fields, components, strict=True) if score is None],
    )
