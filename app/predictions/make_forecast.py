"""Makes a student's forecast from the facts. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.clock import Day
from app.mastery.components import mastery_history, window_components, window_on
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts, Window
from app.mastery.formula import DECIMALS, Components, coverage
from app.mastery.trend import trend, trend_of
from app.predictions.base_model import REGRESSION_DAYS, base_forecasts, carried_scores, regression_slope
from app.predictions.confidence import confidence
from app.predictions.error_quantiles import Evidence, IntervalTable, interval, widest_interval
from app.predictions.forecast import MOST_DAYS, WEEK, Forecast, Predicted, has_history
from app.predictions.forecast_model import ForecastModel
from app.predictions.intervention import Signs

_HORIZONS = range(1, MOST_DAYS + 1)


def make_forecast(
    record: StudentRecord, today: Day, *, model: ForecastModel, intervals: IntervalTable, retention_days: int
) -> Forecast:
    """Forecast a student's mastery from the facts of the retention window that ends today; ``record`` has some.

    Returns:
        The forecast; under three days of history, the current score in the widest interval.
    """
    daily, components = mastery_history(record.days, today)
    past = list(daily.values())[-REGRESSION_DAYS:]
    slope = regression_slope(past)
    history_days, idle_days, covered = len(daily), today - max(record.days), coverage(components)
    if has_history(history_days):
        evidence = Evidence(components, trend(daily, today), history_days, trend_of(slope))
        carried = carried_scores(record.days, today, components, _HORIZONS, retention_days)
        base = _base(carried, slope, evidence, intervals)
        future = corrected(base, model.week_ahead(record, today, base[WEEK - 1]))
    else:
        future = [_unknown(past[-1], horizon, intervals) for horizon in _HORIZONS]
    return Forecast(
        day=today,
        cohort_id=record.cohort_id,
        past=past,
        future=future,
        level=intervals.level,
        trend=trend_of(slope),
        history_days=history_days,
        idle_days=idle_days,
        coverage=covered,
        confidence=confidence(history_days, covered, idle_days),
        signs=_signs(record.days, window_on(record.days, today, retention_days), slope),
        model=model.name,
        model_version=model.version,
    )


def corrected(base: Sequence[Predicted], week_ahead: Predicted) -> list[Predicted]:
    """The base model's forecasts, moved so that the seventh is the model's: in equal steps until then, and then by as much."""
    corrections = [of_model - of_base for of_model, of_base in zip(week_ahead, base[WEEK - 1], strict=True)]
    moved = []
    for horizon, each in enumerate(base, start=1):
        share = min(horizon / WEEK, 1.0)
        score, lower, upper = (
            round(min(max(value + share * more, 0.0), 1.0), DECIMALS) for value, more in zip(each, corrections, strict=True)
        )
        moved.append(Predicted(score, min(lower, score), max(upper, score)))
    return moved


def _base(carried: Sequence[float], slope: float, evidence: Evidence, intervals: IntervalTable) -> list[Predicted]:
    points = base_forecasts(np.array([carried]), np.array([slope]), _HORIZONS)[0].tolist()
    found = []
    for horizon, point in zip(_HORIZONS, points, strict=True):
        around = interval(point, evidence, horizon, intervals)
        found.append(Predicted(point, around.lower, around.upper))
    return found


def _unknown(score: float, horizon: int, intervals: IntervalTable) -> Predicted:
    around = widest_interval(score, horizon, intervals)
    return Predicted(score, around.lower, around.upper)


def _signs(days: Mapping[Day, DayFacts], window: Window, slope: float) -> Signs:
    components = window_components(window)
    return Signs(
        slope=slope,
        inactive_days=window.day - (window.newest_active_day or min(days)),
        completed=window.completed,
        total=window.total,
        quiz=components.quiz,
        without_evidence=[name for name, score in zip(Components._fields, components, strict=True) if score is None],
    )
