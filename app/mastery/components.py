"""The components of mastery, computed from a student's facts for one day or for each day. Pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from app.clock import Day
from app.mastery.evidence import MILLIONTHS
from app.mastery.facts import DayFacts, Window, first_retained_day
from app.mastery.formula import DEFAULT_WEIGHTS, Components, Weights, mastery_score

CONSISTENCY_DAYS = 14  # consistency is the share of active days among the last ones
_CONSISTENCY_MASK = (1 << CONSISTENCY_DAYS) - 1
_NOTHING = DayFacts()


class History(NamedTuple):
    """Mastery on each day, and the components on the last day."""

    daily: dict[Day, float]
    components: Components


def window_components(window: Window) -> Components:
    """The four components on the window's day."""
    return _components(
        window.correct,
        window.asked,
        window.quality_millionths,
        window.submissions,
        window.completed,
        window.total,
        window.active_bits.bit_count() if window.newest_active_day else None,
    )


def window_on(days: Mapping[Day, DayFacts], day: Day, retention_days: int) -> Window:
    """The retention window that ends on a day, from facts by day, as ``merge_evidence.lua`` stores it; revision 0."""
    retained = sorted(each for each in days if first_retained_day(day, retention_days) <= each <= day)
    kept = [days[each] for each in retained]
    completion_day = max((each for each in retained if days[each].total), default=0)
    latest = days.get(completion_day, _NOTHING)
    return Window(
        revision=0,
        day=day,
        correct=sum(facts.correct for facts in kept),
        asked=sum(facts.asked for facts in kept),
        quality_millionths=sum(facts.quality_millionths for facts in kept),
        submissions=sum(facts.submissions for facts in kept),
        newest_active_day=max((each for each in retained if days[each].active), default=0),
        active_bits=sum(1 << day - each for each in retained if days[each].active and day - each < CONSISTENCY_DAYS),
        completion_day=completion_day,
        completed=latest.completed,
        total=latest.total,
    )


def daily_components(days: Mapping[Day, DayFacts], last: Day) -> Iterator[tuple[Day, Components]]:
    """Compute the components on each day from the first with evidence to ``last``.

    ``days`` span at most a retention window, so that nothing expires in between.

    Yields:
        Pairs of day and components. Consecutive days with equal components share one object.
    """
    first = min(days, default=last + 1)
    correct = asked = quality = submissions = completed = total = bits = active_days = ever_active = 0
    components = Components()
    for day in range(first, last + 1):
        facts = days.get(day, _NOTHING)
        bits = (bits << 1 | facts.active) & _CONSISTENCY_MASK
        # On most days nothing else changes, and a query computes ninety days.
        before, active_days = active_days, bits.bit_count()
        if active_days != before or facts.asked or facts.submissions or facts.total:
            ever_active = ever_active or facts.active
            correct += facts.correct
            asked += facts.asked
            quality += facts.quality_millionths
            submissions += facts.submissions
            if facts.total:
                completed, total = facts.completed, facts.total
            components = _components(
                correct, asked, quality, submissions, completed, total, active_days if ever_active else None
            )
        yield day, components


def mastery_history(days: Mapping[Day, DayFacts], last: Day, weights: Weights = DEFAULT_WEIGHTS) -> History:
    """Mastery from the first day with evidence to ``last``."""
    daily: dict[Day, float] = {}
    score, components = 0.0, Components()
    for day, of_day in daily_components(days, last):
        if of_day is not components:
            score, components = mastery_score(of_day, weights), of_day
        daily[day] = score
    return History(daily, components)


def _components(
    correct: int, asked: int, quality: int, submissions: int, completed: int, total: int, active_days: int | None
) -> Components:
    return Components(
        completed / total if total else None,
        correct / asked if asked else None,
        quality / submissions / MILLIONTHS if submissions else None,
        active_days / CONSISTENCY_DAYS if active_days is not None else None,
    )
