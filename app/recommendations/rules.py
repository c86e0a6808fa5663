"""What a student should do next, and in which order. Pure. Reasons and assumptions: docs/decisions/0027.

A component below 0.7 or without evidence is weak. Work adds evidence in units (``EFFORTS``) to the evidence that there is; what
that gives is computed by ``app/mastery/components.py`` and ``formula.py``, as for real evidence.

    impact = weight · (0.7 − score)          score: of the component; 0 without evidence
    units  = ⌈(goal · of − have) / (good − goal · each)⌉

``have`` of ``of`` is the evidence there is (correct answers of those asked), ``good`` of ``each`` what one unit adds. The
second formula solves (have + units · good) / (of + units · each) ≥ goal.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple, TypeAlias

from app.clock import Day
from app.mastery.components import CONSISTENCY_DAYS, window_components, window_on
from app.mastery.evidence import MILLIONTHS
from app.mastery.facts import DayFacts, Window
from app.mastery.formula import DECIMALS, DEFAULT_WEIGHTS, Components, mastery_score
from app.recommendations.efforts import COMPLETION, CONSISTENCY, EFFORTS, FIRST_EXERCISES, QUALITY, QUIZ, Exercises

GOAL = Fraction(7, 10)  # of each component; below it, it is weak
MOST_RECOMMENDATIONS = 10


class Priority(StrEnum):
    """How much a recommendation matters, the most first."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


# Levels are 0.15 to 0.2 of mastery apart: high is half a level or more, low a fifth or less.
PRIORITY_FLOORS: Mapping[Priority, float] = {Priority.HIGH: 0.1, Priority.MEDIUM: 0.04, Priority.LOW: 0.0}


# After activity, a path works on what is weak in this order, in which each makes the next possible; then in the same order,
# that of the weights, on what is not strong: all exercises, and as much as nine tenths right can reach before long.
STRONG: Mapping[str, Fraction] = {COMPLETION: Fraction(1), QUIZ: Fraction(85, 100), QUALITY: Fraction(85, 100)}
Order: TypeAlias = Sequence[tuple[str, Fraction]]  # components with goals: the first one that is below its goal is worked on
HORIZON_DAYS = 90  # nobody plans further than a term
BLOCKING_DAYS = 30  # what takes longer to be no longer weak must not hold up the rest
MOST_STEPS = 30  # a path in which leaving evidence makes more steps necessary is no plan
FEWEST_MINUTES, MOST_MINUTES = EFFORTS[CONSISTENCY].minutes, 480  # a day: the shortest work of a day, and a working day


class Evidence(NamedTuple):
    """A student's facts of retained days, and how many days they are retained."""

    days: Mapping[Day, DayFacts]
    today: Day
    retention_days: int

    def window(self, day: Day) -> Window:
        """The retention window that ends on a day; on a later one it has less, since evidence leaves it."""
        return window_on(self.days, day, self.retention_days)


class Recommendation(NamedTuple):
    """What to do: ``units`` raise a component from ``current`` (None: no evidence) to ``reached``, and mastery by ``gain``."""

    component: str
    priority: Priority
    impact: float
    current: float | None
    reached: float
    units: int
    gain: float


class Work(NamedTuple):
    """Minutes of one day for a component, and how many units they finish; the components and the mastery afterwards."""

    day: Day
    component: str
    minutes: int
    units: int
    components: Components
    score: float


class Plan(NamedTuple):
    """Work in order, and the components that are postponed, although they make others possible: they would take too long."""

    work: Sequence[Work]
    postponed: Sequence[str]


def weak(score: float | None) -> bool:
    """Whether a component is below the goal, or without evidence."""
    return score is None or score < float(GOAL)


def recommend(
    window: Window,
    *,
    limit: int = MOST_RECOMMENDATIONS,
    priority: Priority | None = None,
    components: Collection[str] = Components._fields,
) -> list[Recommendation]:
    """What to do for each weak component among ``components``, of a ``priority`` if one is given; at most ``limit``.

    By priority; of the same priority, first those that need evidence, then those with more impact, then in the formula's order.
    Each gain is the one after all recommendations before it, so that they add up to what all of them bring.

    Returns:
        The recommendations; empty if nothing is weak.
    """
    parts = window_components(window)
    found = [_recommendation(name, window, parts) for name in Components._fields if name in components]
    wanted = [each for each in found if each is not None and priority in {None, each.priority}]
    ranks = [*Priority]
    wanted.sort(key=lambda each: (ranks.index(each.priority), each.current is not None, -each.impact))
    chosen, before = [], mastery_score(parts)
    for each in wanted[:limit]:
        parts = parts._replace(**{each.component: each.reached})
        after = mastery_score(parts)
        chosen.append(each._replace(gain=round(after - before, DECIMALS)))
        before = after
    return chosen


def _recommendation(component: str, window: Window, parts: Components) -> Recommendation | None:
    """What to do for a component, without the gain; None if it is not weak."""
    score = getattr(parts, component)
    if not weak(score):
        return None
    impact = round(getattr(DEFAULT_WEIGHTS, component) * (float(GOAL) - (score or 0.0)), DECIMALS)
    priority = next(each for each, floor in PRIORITY_FLOORS.items() if impact >= floor)
    exercises = Exercises(window.completed, window.total) if window.total else FIRST_EXERCISES
    units = _units(component, window, exercises, GOAL)
    reached = getattr(window_components(_after(component, window, exercises, units)), component)
    return Recommendation(component, priority, impact, score, reached, units, 0.0)


def _units(component: str, window: Window, exercises: Exercises, goal: Fraction) -> int:
    """How many units raise a component to a goal; at least one."""
    if component == CONSISTENCY:
        days = range(1, CONSISTENCY_DAYS + 1)
        return next(count for count in days if _active_on(window, count).active_bits.bit_count() >= goal * CONSISTENCY_DAYS)
    evidence = {
        COMPLETION: exercises,
        QUIZ: (window.correct, window.asked),
        QUALITY: (window.quality_millionths, window.submissions * MILLIONTHS),
    }
    (have, of), effort = evidence[component], EFFORTS[component]
    return max(1, math.ceil((goal * of - have) / (effort.good - goal * effort.each)))


def _after(component: str, window: Window, exercises: Exercises, units: int) -> Window:
    """The window with the evidence of so many units of work; active days follow the window's day."""
    *_, good, each = EFFORTS[component]
    if component == COMPLETION:
        done = min(exercises.done + units, exercises.total)
        return window._replace(completion_day=window.day, completed=done, total=exercises.total)
    if component == QUIZ:
        return window._replace(correct=window.correct + units * good, asked=window.asked + units * each)
    if component == QUALITY:
        quality = window.quality_millionths + units * good
        return window._replace(quality_millionths=quality, submissions=window.submissions + units)
    return _active_on(window, units)


def _active_on(window: Window, days: int) -> Window:
    """The activity after so many more days, each of them active."""
    bits = (window.active_bits << days | (1 << days) - 1) & (1 << CONSISTENCY_DAYS) - 1
    return window._replace(newest_active_day=window.day, active_bits=bits)


def known_exercises(days: Mapping[Day, DayFacts]) -> Exercises:
    """The exercises according to the latest completion of all days, expired or not: a later one counts all that were done."""
    latest = max((day for day, facts in days.items() if facts.total), default=None)
    return FIRST_EXERCISES if latest is None else Exercises(days[latest].completed, days[latest].total)


def plan_work(evidence: Evidence, *, floor: float, minutes_per_day: int) -> Plan:
    """Plan work that raises mastery to ``floor``, from tomorrow on; else up to its highest point, if any is higher than today.

    Each day, of at least ``FEWEST_MINUTES``, is computed with the window that ends on it: what has left it is missing.

    Returns:
        The first plan that reaches the floor, else the one that gets furthest; without work if none gets anywhere.
    """
    best, score = Plan([], []), mastery_score(window_components(evidence.window(evidence.today)))
    for order, postponed in _orders(evidence, BLOCKING_DAYS * minutes_per_day):
        if score >= floor:
            break
        if work := _attempt(evidence, order, above=score, floor=floor, minutes_per_day=minutes_per_day):
            best, score = Plan(work, postponed), work[-1].score
    return best


def _orders(evidence: Evidence, blocking_minutes: int) -> Iterator[tuple[Order, list[str]]]:
    """Orders to try, the most reasonable first.

    In the first one, components come last that would be weak for more than ``blocking_minutes``. The others are for targets
    that it does not reach in time: every order of the components, in two stages, weak and strong, then in one.

    Yields:
        Pairs of an order, and the components that are postponed: worked on after one that they would make possible.
    """
    window, exercises = evidence.window(evidence.today), known_exercises(evidence.days)
    minutes = {each: _units(each, window, exercises, GOAL) * EFFORTS[each].minutes for each in STRONG}
    blocking = [each for each in STRONG if minutes[each] > blocking_minutes]
    free = [each for each in STRONG if each not in blocking]
    first = CONSISTENCY, GOAL
    yield [first, *_stages(free), *_stages(blocking)], _postponed([*free, *blocking])
    for components in permutations(STRONG):
        yield [first, *_stages(components)], _postponed(components)
    for components in permutations(STRONG):
        yield [first, *((each, STRONG[each]) for each in components)], _postponed(components)


def _stages(components: Sequence[str]) -> Order:
    return [*((each, GOAL) for each in components), *((each, STRONG[each]) for each in components)]


def _postponed(components: Sequence[str]) -> list[str]:
    rank = [*STRONG].index
    return [each for index, each in enumerate(components) if any(rank(each) < rank(other) for other in components[:index])]


def _attempt(evidence: Evidence, order: Order, *, above: float, floor: float, minutes_per_day: int) -> list[Work]:
    """The work in an order, up to the floor or its highest point ``above`` a score; empty without one."""
    done, steps, end = list[Work](), 0, 0
    for work in _work(evidence, order, floor=floor, minutes_per_day=minutes_per_day):
        steps += not done or done[-1].component != work.component
        if steps > MOST_STEPS:
            break
        done.append(work)
        if work.units and work.score > above:
            above, end = work.score, len(done)
            if above >= floor:
                break
    return done[:end]


def _work(evidence: Evidence, order: Order, *, floor: float, minutes_per_day: int) -> Iterator[Work]:
    """Work without end within the horizon, each day up to its minutes. Days with work are active."""
    days, component, left, has_begun = dict(evidence.days), "", 0, False
    for day in range(evidence.today + 1, evidence.today + 1 + HORIZON_DAYS):
        before, exercises = evidence._replace(days=days).window(day), known_exercises(days)
        window, minutes = before._replace(newest_active_day=day, active_bits=before.active_bits | 1), minutes_per_day
        while minutes:
            units = 1
            if not left:
                component, goal = _next(window, order, floor, has_begun=has_begun)
                if component == CONSISTENCY and minutes < minutes_per_day:
                    break  # the day is active by its other work
                units = _units_of_day(component, window, exercises, goal, floor, minutes)
                left = max(1, units) * EFFORTS[component].minutes
            spent = min(left, minutes)
            left, minutes, has_begun = left - spent, minutes - spent, True
            units = 0 if left else units
            if units and component != CONSISTENCY:
                window = _after(component, window, exercises, units)
                exercises = Exercises(window.completed, window.total) if component == COMPLETION else exercises
            parts = window_components(window)
            yield Work(day, component, spent, units, parts, mastery_score(parts))
        days[day] = _difference(before, window)


def _next(window: Window, order: Order, floor: float, *, has_begun: bool) -> tuple[str, Fraction]:
    """What to work on now. Only on being active, if that is enough for the floor, or nothing else is below its goal."""
    parts = window_components(window)
    below = ((component, goal) for component, goal in order if (getattr(parts, component) or 0.0) < float(goal))
    others = (each for each in below if each[0] != CONSISTENCY or not has_begun)  # each day with work raises it
    active = CONSISTENCY, GOAL
    return active if mastery_score(parts) >= floor else next(others, active)


def _units_of_day(component: str, window: Window, exercises: Exercises, goal: Fraction, floor: float, minutes: int) -> int:
    """How many units fit into the minutes, up to the goal or the floor of mastery; 0 if not even one."""
    if component == CONSISTENCY:
        return 1
    most = min(minutes // EFFORTS[component].minutes, _units(component, window, exercises, goal))

    def reaches(units: int) -> bool:
        return mastery_score(window_components(_after(component, window, exercises, units))) >= floor

    return most and 1 + bisect_left(range(1, most), x=True, key=reaches)


def _difference(before: Window, after: Window) -> DayFacts:
    """The facts of the window's day that make ``after`` of ``before``."""
    sums = ("correct", "asked", "quality_millionths", "submissions")
    has_completion = after.completion_day == after.day
    return DayFacts(
        **{name: getattr(after, name) - getattr(before, name) for name in sums},
        active=1,
        completed=after.completed if has_completion else 0,
        total=after.total if has_completion else 0,
    )
