"""What a batch can compute: one table of kinds. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from msgspec import Struct, to_builtins

from app.batches.batch import BatchOrder, Item, Kind
from app.clock import Day, day_date
from app.mastery.components import mastery_history
from app.mastery.fact_store import StudentRecord
from app.mastery.formula import Components, Weights, mastery_score
from app.mastery.query_mastery import Calculation, Standing, calculate
from app.mastery.trend import Trend, historical_average, trend
from app.predictions.current_forecast import WeekForecaster
from app.predictions.forecast import Forecast
from app.predictions.predict_next_week import NextWeek, next_week
from app.purposes import Purpose

NO_EVIDENCE = "no evidence of such a student"
UNREADABLE = "the student's record cannot be read"
GIVEN_UP = "could not be computed"
ERASED = "erased"
NO_CONSENT = "the student has not consented to predictions"


class Row(Struct, frozen=True, array_like=True, gc=False):
    """A stored result: what the answer cannot be computed from otherwise, about 80 bytes instead of 700.

    ``error`` says why there is no result. ``trend`` is empty if the components were given. Of a prediction, ``score`` is the
    predicted one, and ``forecast`` has the rest. A student who was erased leaves a row without an id, which no answer shows:
    the others keep their positions.
    """

    student_id: str
    error: str = ""
    score: float = 0.0
    components: Components = Components()
    cohort_id: str | None = None
    trend: str = ""
    historical_average: float = 0.0
    forecast: Forecast | None = None

    @property
    def is_erased(self) -> bool:
        return not self.student_id


ERASED_ROW = Row("", ERASED)


class KindOfBatch(NamedTuple):
    """How a kind is computed for a student, shown in JSON, and written as a line of CSV.

    Attributes:
        compute: the row of a student from the order, the item, the facts up to the order's day (None: there are none), and a
            function that forecasts.
        answer: the result as a JSON object, for a row without an error.
        columns: the names of the CSV columns.
        line: the values of these columns, for any row.
        purpose: what it uses the students' data for; None if that needs no consent.
    """

    compute: Callable[[BatchOrder, Item, StudentRecord | None, WeekForecaster], Row]
    answer: Callable[[BatchOrder, Row], dict[str, Any]]
    columns: tuple[str, ...]
    line: Callable[[BatchOrder, Row], list[object]]
    purpose: Purpose | None = None


def compute_mastery(order: BatchOrder, item: Item, record: StudentRecord | None, _forecast: WeekForecaster) -> Row:
    """Mastery from the given components, else from the facts on the order's day."""
    if item.components is not None:
        return Row(item.student_id, score=mastery_score(item.components, order.weights), components=item.components)
    if record is None:
        return Row(item.student_id, NO_EVIDENCE)
    daily, components = mastery_history(record.days, order.day, order.weights)
    return Row(
        item.student_id,
        score=mastery_score(components, order.weights),
        components=components,
        cohort_id=record.cohort_id,
        trend=trend(daily, order.day).value,
        historical_average=historical_average(daily),
    )


def mastery_answer(order: BatchOrder, row: Row) -> dict[str, Any]:
    """What ``POST /mastery/query`` answers for the student, or ``/mastery/calculate`` if the components were given."""
    return {"student_id": row.student_id, **to_builtins(_calculated(order.day, order.weights, row))}


def mastery_line(order: BatchOrder, row: Row) -> list[object]:
    """The values of ``MASTERY_COLUMNS``; those without evidence or result are empty."""
    if row.error:
        return [row.student_id, row.error, *[None] * (len(MASTERY_COLUMNS) - 2)]
    found = calculate(row.components, order.weights)
    is_from_facts = bool(row.trend)
    return [
        row.student_id,
        None,
        found.score,
        found.level.value,
        found.coverage,
        *found.components.values(),
        row.cohort_id,
        row.trend or None,
        row.historical_average if is_from_facts else None,
        day_date(order.day).isoformat() if is_from_facts else None,
    ]


def _calculated(day: Day, weights: Weights, row: Row) -> Calculation:
    found = calculate(row.components, weights)
    if not row.trend:
        return found
    return Standing(
        score=found.score,
        level=found.level,
        coverage=found.coverage,
        components=found.components,
        breakdown=found.breakdown,
        student_id=row.student_id,
        cohort_id=row.cohort_id,
        date=day_date(day),
        trend=Trend(row.trend),
        historical_average=row.historical_average,
    )


MASTERY_COLUMNS = (
    *("student_id", "error", "score", "level", "coverage"),
    *Components._fields,
    *("cohort_id", "trend", "historical_average", "date"),
)


def compute_prediction(order: BatchOrder, item: Item, record: StudentRecord | None, forecast: WeekForecaster) -> Row:
    """Mastery seven days after the order's day."""
    if record is None:
        return Row(item.student_id, NO_EVIDENCE)
    made = forecast(record, order.day)
    return Row(item.student_id, score=made.week_ahead.score, cohort_id=made.cohort_id, trend=made.trend.value, forecast=made)


def prediction_answer(order: BatchOrder, row: Row) -> dict[str, Any]:
    """What ``POST /predictions/next-week`` answers for the student."""
    return cast("dict[str, Any]", to_builtins(_predicted(order, row)))


def prediction_line(order: BatchOrder, row: Row) -> list[object]:
    """The values of ``PREDICTION_COLUMNS``; empty without a result. Reasons and warnings are codes, separated by spaces."""
    if row.error:
        return [row.student_id, row.error, *[None] * (len(PREDICTION_COLUMNS) - 2)]
    found = _predicted(order, row)
    lists = {name: " ".join(each.code for each in getattr(found, name)) or None for name in ("reasons", "warnings")}
    values = to_builtins(found) | to_builtins(found.interval) | lists
    return [values.get(name) for name in PREDICTION_COLUMNS]


def _predicted(order: BatchOrder, row: Row) -> NextWeek:
    if row.forecast is None:  # compute_prediction always stores it
        raise AssertionError("a prediction has no forecast")
    return next_week(row.student_id, row.forecast, order.threshold)


PREDICTION_COLUMNS = (
    *("student_id", "error", "predicted_score", "lower", "upper", "confidence", "current_score", "trend", "slope_per_day"),
    *("intervention_needed", "reasons", "coverage", "days_of_history", "stale", "warnings", "model", "model_version"),
    *("cohort_id", "date"),
)

KINDS: Mapping[Kind, KindOfBatch] = {
    Kind.MASTERY: KindOfBatch(compute_mastery, mastery_answer, MASTERY_COLUMNS, mastery_line),
    Kind.PREDICTION: KindOfBatch(
        compute_prediction, prediction_answer, PREDICTION_COLUMNS, prediction_line, Purpose.PREDICTIONS
    ),
}
