"""The facts from which ``components.py`` computes mastery; ``merge_evidence.lua`` stores them.

A student's facts are a small record per day, with sums and counts that merge in any order, and a window: the same sums over the
retention window that ends on one day, stored so that an event does not have to read ninety days.
"""

from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from app.clock import Day


class DayFacts(Struct, frozen=True, array_like=True, gc=False):
    """One day's evidence; ``completed`` and ``total`` are those of the day's latest completion.

    ``merge_evidence.lua`` stores two more elements to determine the latest completion; they are ignored here.
    """

    correct: int = 0
    asked: int = 0
    quality_millionths: int = 0
    submissions: int = 0
    active: int = 0
    completed: int = 0
    total: int = 0


class Unreadable(Enum):
    """Stands for the facts of a student whose record is damaged."""

    DAMAGED = "damaged"


class Window(NamedTuple):
    """The retention window that ends on ``day``. ``revision`` grows with every change of the other fields."""

    revision: int
    day: Day
    correct: int
    asked: int
    quality_millionths: int
    submissions: int
    newest_active_day: Day  # 0: none
    active_bits: int  # bit k: active on day - k, for the days that consistency looks at
    completion_day: Day  # 0: none
    completed: int
    total: int


def first_retained_day(today: Day, retention_days: int) -> Day:
    """The first day of the retention window that ends today; earlier evidence is expired. ``merge_evidence.lua`` agrees."""
    return today - retention_days + 1
