"""Why mastery has changed, compared with values computed by hand."""

from datetime import date

import pytest
from msgspec import to_builtins

from app.analytics.changes import Cause, Changes, ComponentChange, explain, share_out
from app.clock import Day, day_number
from app.mastery.facts import DayFacts

TODAY = day_number(date(2026, 10, 28))
ACTIVE = DayFacts(active=1)
# 0.4 · 2/5 + 0.3 · 6/10 + 0.1 · 2/14 = 0.354286 a week ago; 0.4 · 4/5 + 0.3 · 30/40 + 0.2 · 0.8 + 0.1 · 2/14 = 0.719286 now.
FACTS = {
    TODAY - 20: DayFacts(completed=2, total=5, active=1),
    TODAY - 10: DayFacts(correct=6, asked=10, active=1),
    TODAY - 5: ACTIVE,
    TODAY - 1: DayFacts(completed=4, total=5, correct=24, asked=30, quality_millionths=1_600_000, submissions=2),
}


def consistency(active: set[int], days_ago: int) -> ComponentChange:
    """Of a student who was active so many days ago."""
    return explain("s-1", dict.fromkeys((TODAY - ago for ago in active), ACTIVE), TODAY - days_ago, TODAY).components[
        "consistency"
    ]


def causes(change: ComponentChange) -> dict[str, float]:
    return {part.cause.value: part.amount for part in change.parts}


def sum_of_parts(found: Changes) -> float:
    return round(sum(part.amount for change in found.components.values() for part in change.parts), 6)


def test_a_week_taken_apart() -> None:
    """The activity of 20 days ago has left the 14 days, and nothing took its place; that of 5 days ago has come."""
    found = explain("s-1", FACTS, TODAY - 7, TODAY)
    assert (found.score_then, found.score_now, found.difference) == (0.354286, 0.719286, 0.365)
    assert (found.since, found.date, found.known_since) == (date(2026, 10, 21), date(2026, 10, 28), date(2026, 10, 8))
    assert {name: (each.then, each.now, each.change) for name, each in found.components.items()} == {
        "completion": (0.4, 0.8, 0.16),
        "quiz": (0.6, 0.75, 0.045),
        "quality": (None, 0.8, 0.16),
        "consistency": (0.142857, 0.142857, 0.0),
    }
    assert [[(part.cause, part.amount, part.text) for part in each.parts] for each in found.components.values()] == [
        [(Cause.NEW_EVENTS, 0.16, "4 of 5 exercises are done; before, 2 of 5.")],
        [(Cause.NEW_EVENTS, 0.045, "24 of 30 new quiz questions were answered correctly.")],
        [(Cause.NEW_EVENTS, 0.16, "New submissions: 2, with a mean quality of 0.80.")],
        [
            (Cause.NEW_EVENTS, 0.007143, "Active days that came into the last 14 days: 1."),
            (Cause.INACTIVITY, -0.007143, "Active days that left the last 14 days, with no activity in their place: 1."),
        ],
    ]
    assert to_builtins(found.new_evidence) == {
        "questions": 30,
        "correct_answers": 24,
        "submissions": 2,
        "mean_quality": 0.8,
        "exercises_then": {"completed": 2, "total": 5, "date": "2026-10-08"},
        "exercises_now": {"completed": 4, "total": 5, "date": "2026-10-27"},
        "active_days_came": 1,
        "active_days_left": 1,
    }


def test_nothing_has_changed_today() -> None:
    """Compared with today itself, all parts are missing and all changes 0."""
    found = explain("s-1", FACTS, TODAY, TODAY)
    assert found.score_then == found.score_now == 0.719286
    assert (found.difference, sum_of_parts(found)) == (0.0, 0.0)
    assert [(each.change, each.parts) for each in found.components.values()] == [(0.0, [])] * 4


def test_before_the_first_evidence_mastery_counts_as_0() -> None:
    """Everything is new, and it is said since when something is known."""
    found = explain("s-1", FACTS, TODAY - 30, TODAY)
    assert (found.score_then, found.difference, found.known_since) == (0.0, 0.719286, date(2026, 10, 8))
    assert [each.then for each in found.components.values()] == [None] * 4
    assert sum_of_parts(found) == 0.719286
    completion = found.components["completion"].parts[0]
    assert completion.text == "4 of 5 exercises are done; before, nothing was known of exercises."
    assert found.new_evidence.exercises_then is None


def test_new_events_that_change_nothing_are_told() -> None:
    """As many right answers as before, and the same exercises reported again: parts of 0."""
    again = DayFacts(correct=3, asked=4, completed=2, total=5)
    found = explain("s-1", {TODAY - 3: again, TODAY - 1: again}, TODAY - 2, TODAY)
    assert [(name, part.amount) for name, each in found.components.items() for part in each.parts] == [
        ("completion", 0.0),
        ("quiz", 0.0),
    ]


def test_an_active_day_in_place_of_another() -> None:
    """Active every day: each day that left was replaced by an active one, and nothing changes."""
    change = consistency(set(range(40)), 7)
    assert causes(change) == {"new_events": 0.05, "left_window": -0.05}
    assert (change.then, change.now, change.change) == (1.0, 1.0, 0.0)


def test_days_without_activity() -> None:
    """Active until a week ago: seven active days left, and nothing came."""
    assert causes(consistency(set(range(7, 40)), 7)) == {"inactivity": -0.05}


@pytest.mark.parametrize("days_ago", [14, 15, 60])
def test_no_part_is_more_than_the_weight(days_ago: int) -> None:
    """After 14 days or more all days are others: what came and left in between is in neither of the scores."""
    change = consistency(set(range(89)), days_ago)
    assert causes(change) == {"new_events": 0.1, "left_window": -0.1}
    assert consistency(set(range(14, 89)), days_ago).change == -0.1


def test_activity_long_ago_has_no_part() -> None:
    """It was within 14 days of neither day."""
    assert consistency({30}, 7) == ComponentChange(weight=0.1, then=0.0, now=0.0, change=0.0, parts=[])


@pytest.mark.parametrize(
    ("total", "amounts", "shares"),
    [
        (0, [], []),
        (10, [4.4e-6, 5.6e-6], [4, 6]),
        (11, [4.4e-6, 5.6e-6], [5, 6]),  # the larger remainder of the two, after rounding
        (9, [4.4e-6, 5.6e-6], [4, 5]),
        (2, [0.0, 0.7e-6, 0.0], [0, 2, 0]),  # what is 0 stays 0
        (-1, [-0.4e-6, 0.3e-6], [-1, 0]),
    ],
)
def test_millionths_add_up(total: int, amounts: list[float], shares: list[int]) -> None:
    """What rounding leaves goes where the remainder is the largest."""
    assert share_out(total, amounts) == shares


def test_a_day_is_compared_at_its_end() -> None:
    """What happened on ``since`` is in the earlier score."""
    days: dict[Day, DayFacts] = {TODAY - 2: DayFacts(correct=1, asked=1)}
    on_the_day, before = (explain("s-1", days, TODAY - ago, TODAY) for ago in (2, 3))
    assert (on_the_day.difference, on_the_day.new_evidence.questions) == (0.0, 0)
    assert (before.difference, before.new_evidence.questions) == (0.3, 1)
