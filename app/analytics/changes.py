"""Why a student's mastery on one day differs from that on an earlier one: parts by component and cause, which add up. Pure.

Both scores are those of ``POST /mastery/query``: computed from what is retained now. So evidence that has expired is in neither
of them, and only consistency can lose anything, since it looks at 14 days: docs/decisions/0032.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from app.clock import Day, day_date
from app.mastery.components import CONSISTENCY_DAYS, daily_components
from app.mastery.evidence import MILLIONTHS
from app.mastery.facts import DayFacts
from app.mastery.formula import DECIMALS, DEFAULT_WEIGHTS, Components, mastery_score, rounded
from app.mastery.rankings import millionths

_NOTHING = DayFacts()
_PERIOD = f"last {CONSISTENCY_DAYS} days"
_ONE_ACTIVE_DAY = DEFAULT_WEIGHTS.consistency / CONSISTENCY_DAYS  # what it adds to mastery


class Cause(StrEnum):
    """What changes a component."""

    NEW_EVENTS = "new_events"
    LEFT_WINDOW = "left_window"
    INACTIVITY = "inactivity"


class Part(Struct, frozen=True, kw_only=True):
    """What one cause has added to mastery, or taken from it, and in words what happened."""

    cause: Cause
    amount: float
    text: str


class ComponentChange(Struct, frozen=True, kw_only=True):
    """A component on both days, 0..1 or None without evidence, and its part of the difference: the sum of ``parts``."""

    weight: float
    then: float | None
    now: float | None
    change: float
    parts: list[Part]


class Exercises(Struct, frozen=True, kw_only=True):
    """What the latest completion says, and of which day it is."""

    completed: int
    total: int
    date: date


class NewEvidence(Struct, frozen=True, kw_only=True):
    """The evidence after the earlier day, except what consistency does not look at any more.

    ``mean_quality`` is that of the new submissions. Exercises are None before the first completion. ``active_days_came`` are
    those of the 14 days up to the later day that are not among the 14 days up to the earlier one; ``active_days_left`` are the
    reverse.
    """

    questions: int
    correct_answers: int
    submissions: int
    mean_quality: float | None
    exercises_then: Exercises | None
    exercises_now: Exercises | None
    active_days_came: int
    active_days_left: int


class Changes(Struct, frozen=True, kw_only=True):
    """Mastery, 0..1, at the end of two days, and the difference by component.

    ``known_since`` is the first day with evidence. If it is after ``since``, mastery was unknown then, and counts as 0.
    """

    student_id: str
    since: date
    known_since: date
    date: date
    score_then: float
    score_now: float
    difference: float
    components: dict[str, ComponentChange]
    new_evidence: NewEvidence


class _Unrounded(NamedTuple):
    component: str
    cause: Cause
    amount: float
    text: str


class _Exchange(NamedTuple):
    """How many active days have come into the 14 days of consistency, and left them."""

    came: int
    left_for_active: int
    left_for_inactive: int


def explain(student_id: str, days: Mapping[Day, DayFacts], since: Day, today: Day) -> Changes:
    """Take apart by how much the mastery at the end of ``today`` differs from that at the end of ``since``, not later.

    ``days`` are a student's facts, of at least one day, none after ``today``; they span at most a retention window.

    Returns:
        The scores and the parts, rounded to 6 decimals. The parts of a component add up to its change, and the changes to the
        difference of the scores, exactly in millionths.
    """
    then, now = _components_on(days, since), _components_on(days, today)
    score_then, score_now = mastery_score(then), mastery_score(now)
    difference = millionths(score_now) - millionths(score_then)
    exchange = _exchange(days, since, today)
    evidence = _new_evidence(days, since, today, exchange)
    parts = [*_by_events(then, now, evidence), *_by_activity(exchange)]
    amounts = share_out(difference, [each.amount for each in parts])
    return Changes(
        student_id=student_id,
        since=day_date(since),
        date=day_date(today),
        known_since=day_date(min(days)),
        score_then=score_then,
        score_now=score_now,
        difference=difference / MILLIONTHS,
        components=_by_component(then, now, parts, amounts),
        new_evidence=evidence,
    )


def share_out(total: int, amounts: Sequence[float]) -> list[int]:
    """Round amounts to millionths that add up to a given total, which is at most one more or less than their sum.

    Each is rounded to the nearest. What is missing then is added, or taken away, one millionth each, where the remainder is
    the largest. An amount of 0 stays 0.

    Args:
        total: in millionths.
        amounts: fractions.

    Returns:
        Millionths, each less than 2 from its amount.
    """
    shares = [round(amount * MILLIONTHS) for amount in amounts]
    missing = total - sum(shares)
    step = 1 if missing > 0 else -1
    remainders = {at: step * (amount * MILLIONTHS - shares[at]) for at, amount in enumerate(amounts) if amount}
    for at in sorted(remainders, key=lambda at: -remainders[at])[: abs(missing)]:
        shares[at] += step
    return shares


def _components_on(days: Mapping[Day, DayFacts], day: Day) -> Components:
    """The components at the end of a day; none before the first evidence."""
    latest = Components()
    for _, latest in daily_components(days, day):  # noqa: B007 - the last one
        pass
    return latest


def _new_evidence(days: Mapping[Day, DayFacts], since: Day, today: Day, exchange: _Exchange) -> NewEvidence:
    new = [facts for day, facts in days.items() if since < day <= today]
    submissions, quality = sum(facts.submissions for facts in new), sum(facts.quality_millionths for facts in new)
    return NewEvidence(
        questions=sum(facts.asked for facts in new),
        correct_answers=sum(facts.correct for facts in new),
        submissions=submissions,
        mean_quality=round(quality / submissions / MILLIONTHS, DECIMALS) if submissions else None,
        exercises_then=_exercises(days, since),
        exercises_now=_exercises(days, today),
        active_days_came=exchange.came,
        active_days_left=exchange.left_for_active + exchange.left_for_inactive,
    )


def _exercises(days: Mapping[Day, DayFacts], until: Day) -> Exercises | None:
    latest = max((day for day, facts in days.items() if facts.total and day <= until), default=None)
    if latest is None:
        return None
    return Exercises(completed=days[latest].completed, total=days[latest].total, date=day_date(latest))


def _exchange(days: Mapping[Day, DayFacts], since: Day, today: Day) -> _Exchange:
    """Compare the 14 days up to ``today`` with those up to ``since``. The earliest that left gave way to the earliest new."""
    exchanged = min(today - since, CONSISTENCY_DAYS)
    left = [_is_active(days, since - CONSISTENCY_DAYS + 1 + at) for at in range(exchanged)]
    came = [_is_active(days, today - exchanged + 1 + at) for at in range(exchanged)]
    for_active = sum(old and new for old, new in zip(left, came, strict=True))
    return _Exchange(sum(came), for_active, sum(left) - for_active)


def _is_active(days: Mapping[Day, DayFacts], day: Day) -> bool:
    return bool(days.get(day, _NOTHING).active)


def _by_events(then: Components, now: Components, evidence: NewEvidence) -> Iterator[_Unrounded]:
    """What new events have done to the components that lose nothing: the whole difference, perhaps 0."""
    earlier, latest = evidence.exercises_then, evidence.exercises_now
    texts: dict[str, str] = {}
    if latest and latest != earlier:
        before = f"before, {earlier.completed} of {earlier.total}" if earlier else "before, nothing was known of exercises"
        texts["completion"] = f"{latest.completed} of {latest.total} exercises are done; {before}."
    if evidence.questions:
        right = f"{evidence.correct_answers} of {evidence.questions}"
        texts["quiz"] = f"{right} new quiz questions were answered correctly."
    if evidence.submissions:
        texts["quality"] = f"New submissions: {evidence.submissions}, with a mean quality of {evidence.mean_quality:.2f}."
    for name, text in texts.items():
        rise = (getattr(now, name) or 0.0) - (getattr(then, name) or 0.0)
        yield _Unrounded(name, Cause.NEW_EVENTS, getattr(DEFAULT_WEIGHTS, name) * rise, text)


def _by_activity(exchange: _Exchange) -> Iterator[_Unrounded]:
    """What active days have done that came into the 14 days of consistency, or left them."""
    came, left_for_active, left_for_inactive = exchange
    found = (
        (Cause.NEW_EVENTS, came, "came into the {period}"),
        (Cause.LEFT_WINDOW, -left_for_active, "left the {period}, with an active day in their place"),
        (Cause.INACTIVITY, -left_for_inactive, "left the {period}, with no activity in their place"),
    )
    for cause, number, what in found:
        if number:
            text = f"Active days that {what.format(period=_PERIOD)}: {abs(number)}."
            yield _Unrounded("consistency", cause, number * _ONE_ACTIVE_DAY, text)


def _by_component(
    then: Components, now: Components, parts: Iterable[_Unrounded], amounts: Iterable[int]
) -> dict[str, ComponentChange]:
    told: dict[str, list[Part]] = {name: [] for name in Components._fields}
    sums = dict.fromkeys(Components._fields, 0)
    for part, amount in zip(parts, amounts, strict=True):
        told[part.component].append(Part(cause=part.cause, amount=amount / MILLIONTHS, text=part.text))
        sums[part.component] += amount
    earlier, later = rounded(then), rounded(now)
    return {
        name: ComponentChange(
            weight=weight, then=earlier[name], now=later[name], change=sums[name] / MILLIONTHS, parts=told[name]
        )
        for name, weight in DEFAULT_WEIGHTS._asdict().items()
    }
