"""What a student should do next, and in which order. Pure. Reasons and assumptions: docs/decisions/0027.

A component below 0.7 or without evidence is weak. Work adds evidence in units (``EFFORTS``) to the evidence that there is; what
that gives is computed by ``app/mastery/components.py`` and ``formula.py``, as for real evidence.

    impact = weight · (0.7 − score)          score: of the component; 0 without evidence
    units  = ⌈(goal · of − have) / (good − goal · each)⌉

``have`` of ``of`` is the evidence there is (correct answers of those asked), ``good`` of ``each`` what one unit adds. The
second formula solves (have + units · good) / (of + units · each) ≥ goal.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from app.clock import Day
from app.mastery.components import CONSISTENCY_DAYS, window_components, window_on
from app.mastery.evidence import MILLIONTHS
from app.mastery.facts import DayFacts, Window
from app.mastery.formula import DECIMALS, DEFAULT_WEIGHTS, Components, mastery_score

COMPLETION, QUIZ, QUALITY, CONSISTENCY = Components._fields

GOAL = Fraction(7, 10)  # of each component; below it, it is weak
MOST_RECOMMENDATIONS = 10


class LearningAction(StrEnum):
    """What to do for a component."""

    PRACTICE = "practice"
    REVIEW = "review"
    REFACTOR = "refactor"
    SCHEDULE = "schedule"


class Priority(StrEnum):
    """How much a recommendation matters, the most first."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


# Levels are 0.15 to 0.2 of mastery apart: high is half a level or more, low a fifth or less.
PRIORITY_FLOORS: Mapping[Priority, float] = {Priority.HIGH: 0.1, Priority.MEDIUM: 0.04, Priority.LOW: 0.0}


class Effort(NamedTuple):
    """A unit of work: an exercise, a round of ten questions, a revised submission, an active day.

    It takes ``minutes``, is ``amount`` exercises, questions, submissions or days, and adds ``good`` of ``each`` to the evidence
    of a component. Learners who have reviewed are assumed to do nine tenths right.
    """

    action: LearningAction
    minutes: int
    amount: int
    good: int
    each: int


EFFORTS: Mapping[str, Effort] = {
    COMPLETION: Effort(LearningAction.PRACTICE, 20, 1, 1, 0),  # one more of the exercises that there are
    QUIZ: Effort(LearningAction.REVIEW, 20, 10, 9, 10),
    QUALITY: Effort(LearningAction.REFACTOR, 45, 1, 9 * MILLIONTHS // 10, MILLIONTHS),
    CONSISTENCY: Effort(LearningAction.SCHEDULE, 15, 1, 1, 0),
}
# A path works on the first of these that is below its goal. First what is weak, in the order in which one makes the other
# possible: activity, completion, quiz, quality. Then what brings most, up to what nine tenths right can reach.
ORDER: Sequence[tuple[str, float]] = (
    (CONSISTENCY, float(GOAL)),
    (COMPLETION, float(GOAL)),
    (QUIZ, float(GOAL)),
    (QUALITY, float(GOAL)),
    (COMPLETION, 1.0),
    (QUIZ, 0.85),
    (QUALITY, 0.85),
)
HORIZON_DAYS = 90  # nobody plans further than a term
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


class Exercises(NamedTuple):
    """How many exercises are done, and how many there are."""

    done: int
    total: int


FIRST_EXERCISES = Exercises(0, 10)  # assumed while no evidence says how many there are


class Recommendation(NamedTuple):
    """What to do: ``units`` raise a component from ``current`` (None: no evidence) to ``reached``, and mastery by ``gain``."""

    component: str
    priority: Priority
    impact: float
    current: float | None
    reached: float
    units: int
    gain: float

    @property
    def minutes(self) -> int:
        """The estimated minutes."""
        return self.units * EFFORTS[self.component].minutes


class Work(NamedTuple):
    """Minutes of one day for a component, whether they finish a unit, and the components afterwards."""

    day: Day
    component: str
    minutes: int
    is_finished: bool
    components: Components

    @property
    def score(self) -> float:
        """The mastery afterwards."""
        return mastery_score(self.components)


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
    units = _units(component, window, exercises)
    reached = getattr(window_components(_after(component, window, exercises, units)), component)
    return Recommendation(component, priority, impact, score, reached, units, 0.0)


def _units(component: str, window: Window, exercises: Exercises) -> int:
    """How many units raise a component to the goal; at least one."""
    if component == CONSISTENCY:
        days = range(1, CONSISTENCY_DAYS)
        return next(count for count in days if _active_on(window, count).active_bits.bit_count() >= GOAL * CONSISTENCY_DAYS)
    evidence = {
        COMPLETION: exercises,
        QUIZ: (window.correct, window.asked),
        QUALITY: (window.quality_millionths, window.submissions * MILLIONTHS),
    }
    (have, of), effort = evidence[component], EFFORTS[component]
    return max(1, math.ceil((GOAL * of - have) / (effort.good - GOAL * effort.each)))


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


def plan_work(evidence: Evidence, *, floor: float, minutes_per_day: int) -> list[Work]:
    """The work that raises mastery to ``floor``, from tomorrow on; else the work up to its highest point, if any is higher.

    Each day, of at least ``FEWEST_MINUTES``, is computed with the window that ends on it: what has left it is missing.

    Returns:
        The work in order; empty if mastery is as high already, or work raises it no more.
    """
    best, end = mastery_score(window_components(evidence.window(evidence.today))), 0
    if best >= floor:
        return []
    done, steps = list[Work](), 0
    for work in _work(evidence, floor=floor, minutes_per_day=minutes_per_day):
        steps += not done or done[-1].component != work.component
        if steps > MOST_STEPS:
            break
        done.append(work)
        if work.is_finished and work.score > best:
            best, end = work.score, len(done)
            if best >= floor:
                break
    return done[:end]


def _work(evidence: Evidence, *, floor: float, minutes_per_day: int) -> Iterator[Work]:
    """Work without end within the horizon, each day up to its minutes. Days with work are active."""
    days, component, left, has_begun = dict(evidence.days), "", 0, False
    for day in range(evidence.today + 1, evidence.today + 1 + HORIZON_DAYS):
        before, exercises = evidence._replace(days=days).window(day), known_exercises(days)
        window = before._replace(newest_active_day=day, active_bits=before.active_bits | 1)
        minutes = minutes_per_day
        while minutes:
            if not left:
                component = _next(window, floor, has_begun=has_begun)
                if component == CONSISTENCY and minutes < minutes_per_day:
                    break  # the day is active by its other work
                left = EFFORTS[component].minutes
            spent = min(left, minutes)
            left, minutes, has_begun = left - spent, minutes - spent, True
            if not left and component != CONSISTENCY:
                window = _after(component, window, exercises, 1)
                exercises = Exercises(window.completed, window.total) if component == COMPLETION else exercises
            yield Work(day, component, spent, not left, window_components(window))
        days[day] = _difference(before, window)


def _next(window: Window, floor: float, *, has_begun: bool) -> str:
    """The component to work on now. Only to be active, if that is enough for the floor, or nothing else is below its goal."""
    parts = window_components(window)
    below = (component for component, goal in ORDER if (getattr(parts, component) or 0.0) < goal)
    others = (component for component in below if component != CONSISTENCY or not has_begun)  # each day with work raises it
    return CONSISTENCY if mastery_score(parts) >= floor else next(others, CONSISTENCY)


def _difference(before: Window, after: Window) -> DayFacts:
    """The facts of the window's day that make ``after`` of ``before``."""
    has_completion = after.completion_day == after.day
    return DayFacts(
        correct=after.correct - before.correct,
        asked=after.asked - before.asked,
        quality_millionths=after.quality_millionths - before.quality_millionths,
        submissions=after.submissions - before.submissions,
        active=1,
        completed=after.completed if has_completion else 0,
        total=after.total if has_completion else 0,
    )
