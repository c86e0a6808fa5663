"""What is recommended, and the order of the work of a path, by hand-computed examples."""

from collections.abc import Sequence
from itertools import groupby

import pytest

from app.mastery.components import window_on
from app.mastery.facts import DayFacts, Window
from app.recommendations.efforts import COMPLETION, CONSISTENCY, EFFORTS, QUALITY, QUIZ, LearningAction
from app.recommendations.rules import HORIZON_DAYS, Evidence, Priority, Work, plan_work, recommend

TODAY, RETENTION = 20_000, 90
MILLION = 1_000_000


def window(**facts: int) -> Window:
    """The window of a student with these facts of today; by default nothing is weak."""
    strong = {"completed": 8, "total": 10, "correct": 8, "asked": 10, "quality_millionths": 800_000, "submissions": 1}
    made = window_on({TODAY: DayFacts(**(strong | facts), active=1)}, TODAY, RETENTION)
    return made._replace(active_bits=(1 << 14) - 1)


def steps(work: Sequence[Work]) -> list[tuple[str, int]]:
    """The components worked on one after the other, with the number of finished units."""
    return [(component, sum(each.units for each in some)) for component, some in groupby(work, lambda each: each.component)]


def test_nothing_is_weak() -> None:
    """Every component is at 0.7 or above: there is nothing to recommend. Exactly 0.7 is not weak."""
    assert recommend(window()) == []
    assert recommend(window(completed=7, correct=7, quality_millionths=700_000)) == []


@pytest.mark.parametrize(
    ("facts", "component", "action", "units", "minutes", "reached"),
    [
        ({"completed": 2, "total": 10}, COMPLETION, LearningAction.PRACTICE, 5, 100, 0.7),
        ({"completed": 2, "total": 9}, COMPLETION, LearningAction.PRACTICE, 5, 100, 7 / 9),
        ({"completed": 0, "total": 1}, COMPLETION, LearningAction.PRACTICE, 1, 20, 1.0),
        ({"correct": 5, "asked": 10}, QUIZ, LearningAction.REVIEW, 1, 20, 0.7),
        ({"correct": 10, "asked": 40}, QUIZ, LearningAction.REVIEW, 9, 180, 91 / 130),
        ({"quality_millionths": MILLION, "submissions": 2}, QUALITY, LearningAction.REFACTOR, 2, 90, 0.7),
        ({"quality_millionths": 600_000, "submissions": 1}, QUALITY, LearningAction.REFACTOR, 1, 45, 0.75),
    ],
)
def test_how_much_it_takes(
    facts: dict[str, int], component: str, action: LearningAction, units: int, minutes: int, reached: float
) -> None:
    """As much work as raises the component to 0.7, with nine tenths right, and not a unit more."""
    (found,) = recommend(window(**facts))
    effort = EFFORTS[component]
    assert (found.component, effort.action, found.units, found.units * effort.minutes) == (component, action, units, minutes)
    assert found.reached == pytest.approx(reached)


@pytest.mark.parametrize(
    ("active_bits", "days", "reached"),
    [
        (0, 10, 10),
        (0b11_1111_1110, 1, 10),  # nine active days, all of which stay: one more
        (0b11_1111_1110_0000, 10, 10),  # one of the nine leaves as each new one comes
        (1, 9, 10),
    ],
)
def test_how_many_active_days_it_takes(active_bits: int, days: int, reached: int) -> None:
    """Days in a row from tomorrow on, while older ones leave the fourteen days that count."""
    (found,) = recommend(window()._replace(active_bits=active_bits))
    assert (found.component, found.units) == (CONSISTENCY, days)
    assert found.reached == pytest.approx(reached / 14)


def test_without_evidence_a_first_piece_is_needed() -> None:
    """Nothing is known but one quiz: everything else has the full impact, weight · 0.7, and asks for first evidence.

    Exercises are assumed to be ten. The gains are 0.4 · 0.7, 0.2 · 0.9 and 0.1 · 10/14.
    """
    found = recommend(window_on({TODAY: DayFacts(correct=9, asked=10)}, TODAY, RETENTION))
    assert [(each.component, each.priority, each.impact, each.current, each.units, each.gain) for each in found] == [
        (COMPLETION, Priority.HIGH, 0.28, None, 7, 0.28),
        (QUALITY, Priority.HIGH, 0.14, None, 1, 0.18),
        (CONSISTENCY, Priority.MEDIUM, 0.07, None, 10, 0.071429),
    ]


def test_priority_is_that_of_the_impact() -> None:
    """High from 0.1 on: 0.4 · (0.7 − 0.45); medium from 0.04 on; otherwise low."""
    found = {completed: recommend(window(completed=completed, total=100))[0].priority for completed in (0, 45, 46, 60, 61, 69)}
    high, medium, low = Priority
    assert found == {0: high, 45: high, 46: medium, 60: medium, 61: low, 69: low}


def test_the_order() -> None:
    """By priority; within one, what needs evidence, then more impact, then the formula's order."""
    found = recommend(window(completed=1, total=10, correct=0, asked=10, quality_millionths=0, submissions=0))
    assert [each.component for each in found] == [QUALITY, COMPLETION, QUIZ]  # impacts: 0.14, 0.24, 0.21
    tied = recommend(window(completed=4, total=10, correct=3, asked=10))
    assert [(each.component, each.impact) for each in tied] == [(COMPLETION, 0.12), (QUIZ, 0.12)]


def test_filters_come_before_the_limit() -> None:
    """The only one of low priority is found, although others come first."""
    weak = window(completed=0, correct=0, quality_millionths=680_000)
    assert [each.component for each in recommend(weak, limit=1)] == [COMPLETION]
    assert [each.component for each in recommend(weak, limit=1, priority=Priority.LOW)] == [QUALITY]
    assert [each.component for each in recommend(weak, limit=1, components=["quiz", "consistency"])] == [QUIZ]
    assert recommend(weak, priority=Priority.LOW, components=["quiz"]) == []


def test_dependencies_of_a_path() -> None:
    """Activity, then completion, quiz and quality up to 0.7; then all exercises, quiz and quality up to 0.85, and more days."""
    days = {TODAY: DayFacts(correct=4, asked=10, completed=5, total=10)}
    work, _ = plan_work(Evidence(days, TODAY, RETENTION), floor=0.9, minutes_per_day=480)
    assert steps(work) == [
        (CONSISTENCY, 1),
        (COMPLETION, 2),
        (QUIZ, 2),  # 22 of 30
        (QUALITY, 1),  # 0.9
        (COMPLETION, 3),
        (QUIZ, 7),  # 85 of 100
        (CONSISTENCY, 9),
    ]
    # All but the days is done on the first one: 0.4 + 0.3 · 0.85 + 0.2 · 0.9 = 0.835, and 0.1 · 10/14 for ten days.
    assert (work[-1].day - TODAY, work[-1].score) == (10, 0.906429)


def test_the_work_stops_at_the_target() -> None:
    """An exercise gives 0.4 · 0.6 + 0.1 · 1/14 = 0.247143, a second one 0.287143, and a round of a quiz 0.3 · 0.9 more."""
    days = {TODAY: DayFacts(completed=5, total=10)}
    work, _ = plan_work(Evidence(days, TODAY, RETENTION), floor=0.36, minutes_per_day=480)
    assert steps(work) == [(CONSISTENCY, 1), (COMPLETION, 2), (QUIZ, 1)]
    assert work[-1].score == round(0.28 + 0.27 + 0.1 / 14, 6)
    work, _ = plan_work(Evidence(days, TODAY, RETENTION), floor=0.24, minutes_per_day=480)
    assert steps(work) == [(CONSISTENCY, 1), (COMPLETION, 1)]  # of the two that would fit
    assert plan_work(Evidence(days, TODAY, RETENTION), floor=0.2, minutes_per_day=480) == ([], [])


def test_a_day_has_no_more_minutes_than_there_are() -> None:
    """A submission of 45 minutes takes three days of 15."""
    days = {TODAY: DayFacts(active=1, correct=9, asked=10, completed=10, total=10)}
    work, _ = plan_work(Evidence(days, TODAY, RETENTION), floor=0.75, minutes_per_day=15)
    assert [(each.day - TODAY, each.component, each.minutes, each.units) for each in work] == [
        (1, CONSISTENCY, 15, 1),
        (2, QUALITY, 15, 0),
        (3, QUALITY, 15, 0),
        (4, QUALITY, 15, 1),
    ]


def test_exercises_that_leave_the_window_are_done_again_with_one_completion() -> None:
    """The completion of 9 of 10 expires tomorrow. The next one counts the exercises that were done before."""
    days = {TODAY - RETENTION + 1: DayFacts(completed=8, total=10), TODAY: DayFacts(correct=8, asked=10)}
    work, _ = plan_work(Evidence(days, TODAY, RETENTION), floor=0.6, minutes_per_day=60)
    assert steps(work) == [(CONSISTENCY, 1), (COMPLETION, 1)]
    assert work[-1].components.completion == 0.9


def test_what_would_take_too_long_is_postponed() -> None:
    """5,000 wrong answers need 1,750 rounds to be 0.7, 583 days: what other work reaches does not wait for them.

    0.4 + 0.3 · 27/5030 + 0.2 · 0.9 + 0.1 · 3/14 = 0.603039.
    """
    evidence = Evidence({TODAY: DayFacts(correct=0, asked=5_000, completed=10, total=10)}, TODAY, RETENTION)
    work, postponed = plan_work(evidence, floor=0.6, minutes_per_day=60)
    assert (postponed, steps(work)) == ([QUIZ], [(CONSISTENCY, 1), (QUALITY, 1), (QUIZ, 3), (CONSISTENCY, 1)])
    assert (work[-1].day - TODAY, work[-1].score) == (3, 0.603039)
    work, postponed = plan_work(evidence, floor=0.75, minutes_per_day=60)
    assert (postponed, [component for component, _ in steps(work)]) == ([QUIZ], [CONSISTENCY, QUALITY, QUIZ])


def test_other_orders_are_tried_for_a_target_that_is_not_reached_in_time() -> None:
    """Quiz and quality each take less than 30 days to be 0.7, but not both in time: without quiz, the target is 19 days away.

    240 of 400 answers need 20 rounds, 15 submissions without a point 53: 400 + 2,385 minutes, 93 days of 30.
    """
    facts = DayFacts(correct=240, asked=400, submissions=15, completed=11, total=15)
    work, postponed = plan_work(Evidence({TODAY: facts}, TODAY, 400), floor=0.75, minutes_per_day=30)
    assert (postponed, [component for component, _ in steps(work)]) == ([QUIZ], [CONSISTENCY, COMPLETION, QUALITY])
    assert (work[-1].day - TODAY, work[-1].score >= 0.75) == (19, True)


def test_what_is_postponed_comes_earlier_if_the_target_needs_it() -> None:
    """Submissions would be weak for 53 days, but without them 0.75 is out of reach: the usual order reaches it in 80 days."""
    facts = DayFacts(asked=100, submissions=10, completed=70, total=100)
    work, postponed = plan_work(Evidence({TODAY: facts}, TODAY, 400), floor=0.75, minutes_per_day=30)
    assert (postponed, [component for component, _ in steps(work)][:3]) == ([], [CONSISTENCY, QUIZ, QUALITY])
    assert (work[-1].day - TODAY, work[-1].score >= 0.75) == (80, True)


def test_a_target_that_cannot_be_reached() -> None:
    """A million wrong answers outweigh what a term can bring; the work ends where mastery is highest."""
    days = {TODAY: DayFacts(asked=MILLION, correct=0)}
    work, _ = plan_work(Evidence(days, TODAY, 365), floor=0.75, minutes_per_day=15)
    assert work
    assert work[-1].score < 0.75
    assert work[-1].score == max(each.score for each in work)
    assert work[-1].day <= TODAY + HORIZON_DAYS


def test_a_path_has_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """If more would be needed, it ends as one whose target cannot be reached."""
    monkeypatch.setattr("app.recommendations.rules.MOST_STEPS", 2)
    evidence = Evidence({TODAY: DayFacts(correct=4, asked=10, completed=5, total=10)}, TODAY, RETENTION)
    work, _ = plan_work(evidence, floor=0.9, minutes_per_day=480)
    assert len(steps(work)) == 2
    assert work[-1].score < 0.9
