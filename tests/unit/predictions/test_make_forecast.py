"""A forecast from the facts, and what the answers say of it."""

from datetime import date, timedelta
from typing import NamedTuple

import pytest

from app.clock import Day, day_date
from app.mastery.components import mastery_history
from app.mastery.fact_store import StudentRecord
from app.mastery.facts import DayFacts
from app.mastery.trend import Trend
from app.predictions.forecast import Forecast, Predicted, WarningCode
from app.predictions.forecast_model import BASE_MODEL, ForecastModel, base_intervals
from app.predictions.intervention import ReasonCode
from app.predictions.make_forecast import Means, corrected, make_forecast
from app.predictions.predict_next_week import next_week
from app.predictions.predict_trajectory import trajectory

TODAY, INTERVALS = 20_000, base_intervals()
FALLING = {TODAY - ago: DayFacts(correct=ago, asked=20, active=1, completed=16, total=20) for ago in range(20)}
ALONE = StudentRecord("c-1", {TODAY: DayFacts(correct=9, asked=10)})


class Optimist(NamedTuple):
    """A model that adds 0.07 to what the base model says, and moves the interval's ends apart."""

    name: str = "optimist"
    version: str = "3"

    def week_ahead(self, _record: StudentRecord, _today: Day, base: Predicted, /) -> Predicted:
        return Predicted(base.score + 0.07, base.lower - 0.14, base.upper + 0.14)


def forecast(days: dict[Day, DayFacts], model: ForecastModel = BASE_MODEL) -> Forecast:
    return make_forecast(StudentRecord("c-1", days), TODAY, means=Means(model, INTERVALS, 90))


def test_a_student_who_falls() -> None:
    """The slope is that of the regression, and the reasons say so; the score does not follow it."""
    daily = list(mastery_history(FALLING, TODAY).daily.values())
    told = next_week("s-1", forecast(FALLING), 0.5)
    assert (told.date, told.current_score) == (day_date(TODAY + 7), daily[-1])
    assert told.slope_per_day < -0.002
    assert told.predicted_score == daily[-1]
    assert told.interval.lower <= told.predicted_score <= told.interval.upper
    assert (told.trend, told.days_of_history, told.coverage, told.stale) == (Trend.DECLINING, 20, 0.8, False)
    assert (told.model, told.model_version) == ("base", "2")
    assert [each.code for each in told.warnings] == [WarningCode.NO_LEARNED_MODEL]
    assert not told.intervention_needed
    assert told.reasons == []
    assert next_week("s-1", forecast(FALLING), 0.9).reasons[0].text.startswith("Mastery is falling by 0.0")


@pytest.mark.parametrize("days", [1, 2])
def test_too_little_history(days: int) -> None:
    """Under three days: the current score, in a wide interval, with little confidence, and a warning; no model is named."""
    told = next_week("s-1", forecast({TODAY - days + 1: DayFacts(correct=9, asked=10)}, Optimist()), 0.5)
    assert (told.model, told.model_version) == (BASE_MODEL.name, BASE_MODEL.version)
    assert (told.predicted_score, told.current_score, told.days_of_history) == (0.27, 0.27, days)
    assert (told.trend, told.slope_per_day) == (Trend.STABLE, 0.0)
    assert told.interval.upper - told.interval.lower > 0.7
    assert told.confidence < 0.25
    assert told.warnings[0].code == WarningCode.INSUFFICIENT_HISTORY
    assert WarningCode.INSUFFICIENT_HISTORY not in [each.code for each in forecast(FALLING).warnings]


def test_nothing_for_two_weeks() -> None:
    """After fourteen days without evidence the forecast is stale, and less certain."""
    of_13, of_14 = ({TODAY - ago - 20: DayFacts(active=1), TODAY - ago: DayFacts(active=1)} for ago in (13, 14))
    assert not forecast(of_13).is_stale
    told = next_week("s-1", forecast(of_14), 0.5)
    assert told.stale
    assert told.warnings[0].text == "There was no evidence for 14 days."
    assert told.reasons[0].text == "Inactive for 14 days."


def test_a_platform_that_tells_of_no_activity() -> None:
    """A student who takes quizzes is not inactive; one without any evidence for a week is."""
    for ago, inactive in ((0, False), (6, False), (7, True)):
        days = {TODAY - ago - n: DayFacts(correct=1, asked=10) for n in range(21)}
        codes = [each.code for each in next_week("s-1", forecast(days), 0.5).reasons]
        assert (ReasonCode.INACTIVE in codes) == inactive


@pytest.mark.parametrize("model", [BASE_MODEL, Optimist()])
@pytest.mark.parametrize("days", [FALLING, ALONE.days])
def test_the_seventh_day_is_next_week(days: dict[Day, DayFacts], model: ForecastModel) -> None:
    """Whatever the model; trajectories of other lengths have the same days."""
    made = forecast(days, model)
    week, month = (trajectory("s-1", made, count, 0.5) for count in (7, 30))
    told = next_week("s-1", made, 0.5)
    seventh = week.future[-1]
    assert (seventh.date, seventh.predicted_score, seventh.interval) == (told.date, told.predicted_score, told.interval)
    assert month.future[:7] == week.future
    assert [each.date - day_date(TODAY) for each in month.future] == [timedelta(days=n) for n in range(1, 31)]


@pytest.mark.parametrize("days", [FALLING, ALONE.days])
def test_only_the_week(days: dict[Day, DayFacts]) -> None:
    """For batches, the same week without the other days."""
    record = StudentRecord("c-1", days)
    made = make_forecast(record, TODAY, means=Means(Optimist(), INTERVALS, 90), only_week=True)
    assert (made.past, made.future) == ([], [])
    assert next_week("s-1", made, 0.5) == next_week("s-1", forecast(days, Optimist()), 0.5)


def test_the_past_of_a_trajectory() -> None:
    """Each day since the first evidence, at most thirty, up to today."""
    told = trajectory("s-1", forecast(FALLING), 1, 0.5)
    daily = mastery_history(FALLING, TODAY).daily
    assert [(each.date, each.score) for each in told.past] == [(day_date(day), score) for day, score in daily.items()]
    long_ago = FALLING | {TODAY - 80: DayFacts(active=1)}
    assert [each.date for each in trajectory("s-1", forecast(long_ago), 1, 0.5).past] == [
        day_date(TODAY - ago) for ago in range(29, -1, -1)
    ]


def test_the_day_of_the_fall() -> None:
    """The first day below the threshold after one that is not; none if the student stays above, or is below already."""
    days = {TODAY - 80: DayFacts(correct=10, asked=10), TODAY - 30: DayFacts(completed=10, total=10), TODAY: DayFacts(active=1)}
    made = forecast(days)
    assert made.current > 0.7
    falls = trajectory("s-1", made, 30, 0.5).falls_below_threshold_on
    assert falls == day_date(TODAY - 80 + 90)
    assert isinstance(falls, date)
    assert trajectory("s-1", made, 9, 0.5).falls_below_threshold_on is None
    assert trajectory("s-1", made, 30, 0.9).falls_below_threshold_on is None


def test_another_model_corrects_the_base_model() -> None:
    """In equal steps until the seventh day, then by as much; within 0 and 1, and with the score in the interval."""
    others = {9: Predicted(0.98, 0.9, 0.99), 10: Predicted(0.1, 0.05, 0.2)}
    found = corrected(dict.fromkeys(range(1, 9), Predicted(0.5, 0.4, 0.6)) | others, Predicted(0.57, 0.26, 0.74))
    assert found[1] == pytest.approx((0.51, 0.38, 0.62))
    assert [found[7], found[8]] == [pytest.approx((0.57, 0.26, 0.74))] * 2
    assert found[9] == pytest.approx((1.0, 0.76, 1.0))
    assert found[10] == pytest.approx((0.17, 0.0, 0.34))
    assert (forecast(FALLING, Optimist()).model, forecast(FALLING, Optimist()).model_version) == ("optimist", "3")
    assert forecast(FALLING, Optimist()).warnings == []
