"""The facts of days and of the window give the four components."""

from app.mastery.components import History, daily_components, mastery_history, window_components, window_on
from app.mastery.facts import DayFacts, Window
from app.mastery.formula import Components

TODAY = 20_000


def window(**fields: int) -> Window:
    nothing = dict.fromkeys(Window._fields, 0)
    return Window(**{**nothing, "day": TODAY, **fields})


def test_an_empty_window_knows_nothing() -> None:
    """Without evidence every component is None, not 0."""
    assert window_components(window()) == Components()


def test_components_of_a_window() -> None:
    """Completed of total, correct of total, mean quality, and active days of fourteen."""
    full = window(
        correct=15,
        asked=20,
        quality_millionths=1_500_000,
        submissions=2,
        newest_active_day=TODAY,
        active_bits=0b101_0000_0000_0001,
        completed=3,
        total=4,
    )
    assert window_components(full) == Components(completion=0.75, quiz=0.75, quality=0.75, consistency=3 / 14)


def test_activity_that_is_older_than_fourteen_days_is_evidence_of_none() -> None:
    """Consistency is 0, not unknown, for a student who was active within the retention."""
    assert window_components(window(newest_active_day=TODAY - 30)).consistency == 0.0


def test_sums_grow_from_day_to_day() -> None:
    """A quiz counts from its day on, together with earlier ones."""
    days = {TODAY - 2: DayFacts(correct=1, asked=2), TODAY: DayFacts(correct=2, asked=2)}
    assert [components.quiz for _, components in daily_components(days, TODAY)] == [0.5, 0.5, 0.75]


def test_the_completion_of_the_latest_day_replaces_the_earlier() -> None:
    """Completion may fall: later evidence replaces earlier evidence."""
    days = {TODAY - 1: DayFacts(completed=4, total=4), TODAY: DayFacts(completed=4, total=8)}
    assert [components.completion for _, components in daily_components(days, TODAY)] == [1.0, 0.5]


def test_a_day_leaves_the_consistency_after_fourteen_days() -> None:
    """Activity counts on its day and the following thirteen; after that it is evidence of inactivity."""
    days = {TODAY: DayFacts(active=1)}
    consistency = [components.consistency for _, components in daily_components(days, TODAY + 14)]
    assert consistency == [1 / 14] * 14 + [0.0]


def test_mastery_of_each_day_from_the_first_with_evidence() -> None:
    """Days between evidence have a mastery too."""
    days = {TODAY - 2: DayFacts(completed=1, total=2), TODAY: DayFacts(correct=1, asked=1)}
    assert mastery_history(days, TODAY) == History({TODAY - 2: 0.2, TODAY - 1: 0.2, TODAY: 0.5}, Components(0.5, 1.0))


def test_no_days_no_mastery() -> None:
    """A student without evidence has no history."""
    assert mastery_history({}, TODAY) == History({}, Components())


def test_the_window_that_ends_on_a_day() -> None:
    """Sums of the retained days, the latest completion, and the active ones of the last fourteen; on a later day, fewer."""
    days = {
        TODAY - 90: DayFacts(correct=9, asked=9),
        TODAY - 89: DayFacts(correct=1, asked=2, completed=3, total=4),
        TODAY - 14: DayFacts(active=1),
        TODAY - 13: DayFacts(active=1, quality_millionths=500_000, submissions=1),
        TODAY: DayFacts(correct=1, asked=1, active=1),
    }
    facts = {"correct": 2, "asked": 3, "quality_millionths": 500_000, "submissions": 1, "completed": 3, "total": 4}
    activity = {"newest_active_day": TODAY, "active_bits": 1 << 13 | 1}
    assert window_on(days, TODAY, 90) == window(**facts, **activity, completion_day=TODAY - 89)
    later = window_on(days, TODAY + 1, 90)
    assert (later.correct, later.asked, later.total, later.completion_day) == (1, 1, 0, 0)
    assert later.active_bits == 0b10
    assert window_on({}, TODAY, 90) == window()
