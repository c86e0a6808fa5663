"""A student's way to a level: steps in order, and what to do on which day; in words. Pure."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from itertools import groupby

from msgspec import Struct

from app.clock import Day, day_date
from app.mastery.components import window_components
from app.mastery.formula import DECIMALS, FLOORS, Components, Level, classify, mastery_score
from app.recommendations.assumptions import assumptions
from app.recommendations.efforts import EFFORTS, LearningAction
from app.recommendations.rules import HORIZON_DAYS, MOST_MINUTES, Evidence, Work, plan_work
from app.recommendations.wording import Texts, text_key

DEFAULT_MINUTES = 60  # a day


class Shortfall(StrEnum):
    """Why a plan does not reach its target: with more minutes a day it would, or not within the horizon."""

    MORE_MINUTES = "more_minutes"
    OUT_OF_REACH = "out_of_reach"


class Step(Struct, frozen=True, kw_only=True):
    """One step: ``amount`` exercises, questions, submissions or days, and what is expected at its end."""

    number: int
    component: str
    action: LearningAction
    area: str
    amount: int
    minutes: int
    first_day: date
    last_day: date
    component_score: float
    expected_score: float
    expected_level: Level
    what: str


class Task(Struct, frozen=True, kw_only=True):
    """The part of a step that falls on a day; ``finished`` of its exercises, questions, submissions or days end then."""

    step: int
    component: str
    minutes: int
    finished: int


class StudyDay(Struct, frozen=True, kw_only=True):
    """A day with work, and the mastery at its end."""

    date: date
    minutes: int
    tasks: list[Task]
    expected_score: float


class LearningPath(Struct, frozen=True, kw_only=True):
    """A plan. If it does not reach the target, ``shortfall`` says why, and it ends where mastery is highest.

    ``postponed`` components come last. ``score_without_plan`` is the mastery on ``expected_date`` without any work: evidence
    leaves the retention window.
    """

    student_id: str
    score: float
    level: Level
    target_level: Level
    target_score: float
    minutes_per_day: int
    reaches_target: bool
    shortfall: Shortfall | None
    postponed: list[str]
    expected_score: float
    expected_level: Level
    expected_date: date
    date: date
    score_without_plan: float
    total_minutes: int
    message: str
    steps: list[Step]
    schedule: list[StudyDay]
    assumptions: list[str]


def path_to(
    target: Level | None,
    student_id: str,
    evidence: Evidence,
    *,
    texts: Texts,
    minutes_per_day: int = DEFAULT_MINUTES,
) -> LearningPath:
    """The way to a level (None: the next one) in the words of ``texts``, from the day after the evidence's today."""
    parts = window_components(evidence.window(evidence.today))
    score = mastery_score(parts)
    target = target or _next_level(classify(score))
    floor = FLOORS[target]
    work, postponed = plan_work(evidence, floor=floor, minutes_per_day=minutes_per_day)
    last, expected = (work[-1].day, work[-1].score) if work else (evidence.today, score)
    shortfall = None if expected >= floor else _shortfall(evidence, floor)
    steps = _steps(work)
    return LearningPath(
        student_id=student_id,
        score=score,
        level=classify(score),
        target_level=target,
        target_score=floor,
        minutes_per_day=minutes_per_day,
        reaches_target=shortfall is None,
        shortfall=shortfall,
        postponed=list(postponed),
        expected_score=expected,
        expected_level=classify(expected),
        expected_date=day_date(last),
        score_without_plan=mastery_score(window_components(evidence.window(last))),
        total_minutes=sum(each.minutes for each in work),
        message=_message(shortfall, last, expected, texts, has_work=bool(work)),
        steps=_worded(steps, parts, texts),
        schedule=_schedule(steps),
        assumptions=_assumptions(work, postponed, parts, evidence.retention_days, texts),
        date=day_date(evidence.today),
    )


def _next_level(level: Level) -> Level:
    """The level above; the highest has none."""
    levels = list(Level)
    return levels[min(levels.index(level) + 1, len(levels) - 1)]


def _shortfall(evidence: Evidence, floor: float) -> Shortfall:
    """Whether a whole working day, every day, would be enough."""
    most, _ = plan_work(evidence, floor=floor, minutes_per_day=MOST_MINUTES)
    return Shortfall.MORE_MINUTES if most and most[-1].score >= floor else Shortfall.OUT_OF_REACH


def _message(shortfall: Shortfall | None, last: Day, expected: float, texts: Texts, *, has_work: bool) -> str:
    key = shortfall or ("reaches" if has_work else "reached_already")
    return texts[f"path.{key}"].format(date=day_date(last).isoformat(), score=f"{expected:g}", days=HORIZON_DAYS)


def _steps(work: Sequence[Work]) -> list[list[Work]]:
    """Group work for the same component that is done in a row."""
    return [list(some) for _, some in groupby(work, key=lambda each: each.component)]


def _worded(steps: Sequence[Sequence[Work]], parts: Components, texts: Texts) -> list[Step]:
    before = [parts, *(works[-1].components for works in steps)]
    return [_step(number, works, parts, texts) for number, (works, parts) in enumerate(zip(steps, before, strict=False), 1)]


def _step(number: int, works: Sequence[Work], before: Components, texts: Texts) -> Step:
    first, last, effort = works[0], works[-1], EFFORTS[works[0].component]
    amount, minutes = _amount(works), sum(each.minutes for each in works)
    what = texts[text_key(first.component, "what", getattr(before, first.component))]
    return Step(
        number=number,
        component=first.component,
        action=effort.action,
        area=texts[f"{first.component}.area"],
        amount=amount,
        minutes=minutes,
        first_day=day_date(first.day),
        last_day=day_date(last.day),
        component_score=round(getattr(last.components, first.component), DECIMALS),
        expected_score=last.score,
        expected_level=classify(last.score),
        what=what.format(amount=amount, minutes=minutes),
    )


def _amount(works: Sequence[Work]) -> int:
    """How many exercises, questions, submissions or days of a component are finished."""
    return sum(each.units for each in works) * EFFORTS[works[0].component].amount


def _schedule(steps: Sequence[Sequence[Work]]) -> list[StudyDay]:
    tasks: dict[Day, list[Task]] = {}
    scores: dict[Day, float] = {}
    for step, works in enumerate(steps, 1):
        for day, some in groupby(works, key=lambda each: each.day):
            of_day = list(some)
            minutes = sum(each.minutes for each in of_day)
            tasks.setdefault(day, []).append(
                Task(step=step, component=of_day[0].component, minutes=minutes, finished=_amount(of_day))
            )
            scores[day] = of_day[-1].score
    return [
        StudyDay(date=day_date(day), minutes=sum(each.minutes for each in some), tasks=some, expected_score=scores[day])
        for day, some in tasks.items()
    ]


def _assumptions(
    work: Sequence[Work], postponed: Sequence[str], parts: Components, retention_days: int, texts: Texts
) -> list[str]:
    if not work:
        return []
    late = [texts["assumption.postponed"].format(area=texts[f"{each}.area"]) for each in postponed]
    about_all = [texts["assumption.days"].format(), texts["assumption.retention"].format(days=retention_days)]
    return [*late, *about_all, *assumptions({each.component for each in work}, parts, texts)]
