"""Time is injected: code that needs "now" takes a Clock. Days are UTC; the engine counts them from 1970-01-01."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
Day: TypeAlias = int

EPOCH = date(1970, 1, 1)
EPOCH_ORDINAL = EPOCH.toordinal()
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def system_clock() -> datetime:
    """The current moment, in UTC."""
    return datetime.now(UTC)


def day_number(moment: date) -> Day:
    """Days since 1970-01-01 of a date, or of a datetime in UTC."""
    return moment.toordinal() - EPOCH_ORDINAL


def day_date(day: Day) -> date:
    """The calendar date of a day number."""
    return date.fromordinal(day + EPOCH_ORDINAL)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01 of a moment in any time zone."""
    return (moment - _FIRST_MOMENT) // _MICROSECOND


def moment_of(microseconds: int) -> datetime:
    """The moment, in UTC, so many microseconds after 1970-01-01."""
    return _FIRST_MOMENT + microseconds * _MICROSECOND
