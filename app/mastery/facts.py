"""The facts that mastery is computed from, and how facts become components. Pure; ``merge_evidence.lua`` stores them.

A student's facts are one small record per day, sums and counts that merge in any order, and a window: the same sums rolled
up over the retention window that ends on one day, kept so that an event need not read ninety days.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from app.clock import Day
from app.events.observation import MILLIONTHS
from app.mastery.formula import Components, mastery_score

CONSISTENCY_DAYS = 14
_CONSISTENCY_MASK = (1 << CONSISTENCY_DAYS) - 1


class DayFacts(NamedTuple):
    """One day's evidence. The last four are the day's latest completion, all absent where there is none."""

    correct: int = 0
    asked: int = 0
    quality_millionths: int = 0
    submissions: int = 0
    active: int = 0
    completed: int = 0
    total: int = 0
    stamp: int = 0
    event_id: bytes = b""


class Window(NamedTuple):
    """The retention window that ends on ``day``. ``revision`` grows with every change of the other fields."""

    revision: int
    day: Day
    correct: int
    asked: int
    quality_millionths: int
    submissions: int
    newest_active_day: Day  # 0: none
    active_bits: int  # bit k: active on day - k, for the last 14 days
    completion_day: Day  # 0: none
    completed: int
    total: int


def window_components(window: Window) -> Components:
    """The four components on the window's day."""
    return _components(
        window.correct,
        window.asked,
        window.quality_millionths,
        window.submissions,
        window.completed,
        window.total,
        window.active_bits if window.newest_active_day else None,
    )


def daily_components(days: Mapping[Day, DayFacts], last: Day) -> Iterator[tuple[Day, Components]]:
    """Each day from the first with evidence to ``last``, with the components on that day.

    ``days`` are the retained ones, at most a retention window in all, so that nothing expires between them.
    """
    first = min(days, default=last + 1)
    correct = asked = quality = submissions = completed = total = bits = 0
    ever_active = False
    for day in range(first, last + 1):
        bits = bits << 1 & _CONSISTENCY_MASK
        facts = days.get(day)
        if facts is not None:
            correct += facts.correct
            asked += facts.asked
            quality += facts.quality_millionths
            submissions += facts.submissions
            bits |= facts.active
            ever_active = ever_active or bool(facts.active)
            if facts.total:
                completed, total = facts.completed, facts.total
        active = bits if ever_active else None
        yield day, _components(correct, asked, quality, submissions, completed, total, active)


def daily_mastery(days: Mapping[Day, DayFacts], last: Day) -> dict[Day, float]:
    """Mastery on each day from the first with evidence to ``last``."""
    return {day: mastery_score(components) for day, components in daily_components(days, last)}


def _components(
    correct: int, asked: int, quality: int, submissions: int, completed: int, total: int, active_bits: int | None
) -> Components:
    return Components(
        completion=completed / total if total else None,
        quiz=correct / asked if asked else None,
        quality=quality / submissions / MILLIONTHS if submissions else None,
        consistency=active_bits.bit_count() / CONSISTENCY_DAYS if active_bits is not None else None,
    )
