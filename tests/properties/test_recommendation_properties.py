"""Recommendations and learning paths of any student: bounded, for weak components only, and as good as they say.

A path is simulated as real evidence: facts are added day by day as the plan says, and the engine's own components are computed
from what the retention window of each day has.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app.clock import Day, day_number
from app.mastery.components import daily_components, window_components, window_on
from app.mastery.facts import DayFacts, first_retained_day
from app.mastery.formula import DEFAULT_WEIGHTS, FLOORS, Components, Level, mastery_score
from app.recommendations.efforts import FIRST_EXERCISES
from app.recommendations.learning_path import LearningPath, StudyDay, path_to
from app.recommendations.rules import (
    FEWEST_MINUTES,
    HORIZON_DAYS,
    MOST_MINUTES,
    MOST_RECOMMENDATIONS,
    MOST_STEPS,
    PRIORITY_FLOORS,
    Evidence,
    Priority,
    plan_work,
    recommend,
)
from app.recommendations.wording import load_wording
from tests.properties.strategies import day_facts

TODAY = 20_000
TEXTS = load_wording().of("t-1")
CHAIN = ("completion", "quiz", "quality")

any_length = settings(deadline=None)  # a path of ninety days takes a tenth of a second, more on a busy machine

retentions = st.sampled_from([14, 30, 90, 400])


@st.composite
def students(draw: st.DrawFn) -> tuple[dict[Day, DayFacts], int]:
    """A student's facts of some retained days, at least of one, and how long they are retained."""
    retention = draw(retentions)
    ages = st.one_of(st.integers(0, 13), st.integers(0, retention - 1), st.just(retention - 1))
    return {
        TODAY - age: facts for age, facts in draw(st.dictionaries(ages, day_facts(), min_size=1, max_size=12)).items()
    }, retention


def components_on(days: Mapping[Day, DayFacts], day: Day, retention: int) -> Components:
    """The components on a day, from what is retained then, by the engine's computation for queries."""
    retained = {each: facts for each, facts in days.items() if first_retained_day(day, retention) <= each <= day}
    return list(daily_components(retained, day))[-1][1] if retained else Components()


def done(study: StudyDay, exercises: tuple[int, int]) -> DayFacts:
    """The evidence that a day of the plan leaves, by what the answer assumes."""
    finished = dict.fromkeys(Components._fields, 0)
    for task in study.tasks:
        finished[task.component] += task.finished
    completed = min(exercises[0] + finished["completion"], exercises[1])
    return DayFacts(
        correct=finished["quiz"] * 9 // 10,
        asked=finished["quiz"],
        quality_millionths=finished["quality"] * 900_000,
        submissions=finished["quality"],
        active=1,
        completed=completed if finished["completion"] else 0,
        total=exercises[1] if finished["completion"] else 0,
    )


def simulated(path: LearningPath, days: Mapping[Day, DayFacts]) -> dict[Day, DayFacts]:
    """The student's facts with those of the plan."""
    lived = dict(days)
    exercises = (FIRST_EXERCISES.done, FIRST_EXERCISES.total)
    for day in sorted(days):
        exercises = (days[day].completed, days[day].total) if days[day].total else exercises
    for study in path.schedule:
        facts = lived[day_number(study.date)] = done(study, exercises)
        exercises = (facts.completed, facts.total) if facts.total else exercises
    return lived


@any_length
@given(students(), st.sampled_from(Level), st.integers(FEWEST_MINUTES, MOST_MINUTES))
def test_a_path_that_is_followed_leads_where_it_says(
    student: tuple[dict[Day, DayFacts], int], target: Level, minutes: int
) -> None:
    """Each day's mastery is the expected one; the last one's reaches the target, unless the answer says that it cannot."""
    days, retention = student
    path = path_to(target, "s-1", Evidence(days, TODAY, retention), texts=TEXTS, minutes_per_day=minutes)
    lived = simulated(path, days)
    for study in path.schedule:
        day = day_number(study.date)
        assert mastery_score(components_on(lived, day, retention)) == study.expected_score
    end = mastery_score(components_on(lived, day_number(path.expected_date), retention))
    assert end == path.expected_score
    assert (end >= FLOORS[target]) == path.reaches_target == (path.shortfall is None)
    assert path.expected_score >= path.score or path.reaches_target
    without = mastery_score(components_on(days, day_number(path.expected_date), retention))
    assert without == path.score_without_plan


@any_length
@given(students(), st.sampled_from(Level), st.integers(FEWEST_MINUTES, MOST_MINUTES))
def test_a_path_is_bounded_and_in_order(student: tuple[dict[Day, DayFacts], int], target: Level, minutes: int) -> None:
    """No day is too long, none is beyond the horizon; steps follow each other, and their last one ends with the plan."""
    days, retention = student
    path = path_to(target, "s-1", Evidence(days, TODAY, retention), texts=TEXTS, minutes_per_day=minutes)
    dates = [study.date for study in path.schedule]
    assert dates == sorted(set(dates))
    assert all(TODAY < day_number(each) <= TODAY + HORIZON_DAYS for each in dates)
    assert all(0 < study.minutes <= minutes for study in path.schedule)
    assert [step.number for step in path.steps] == list(range(1, len(path.steps) + 1))
    assert len(path.steps) <= MOST_STEPS
    assert all(first.last_day <= second.first_day for first, second in pairwise(path.steps))
    assert all(step.amount > 0 for step in path.steps)
    if path.steps:
        assert (path.steps[-1].last_day, path.steps[-1].expected_score) == (path.expected_date, path.expected_score)
    assert path.total_minutes == sum(step.minutes for step in path.steps) == sum(study.minutes for study in path.schedule)
    tasks = [task for study in path.schedule for task in study.tasks]
    for step in path.steps:
        assert step.amount == sum(task.finished for task in tasks if task.step == step.number)


@any_length
@given(students(), st.sampled_from(Level), st.integers(FEWEST_MINUTES, MOST_MINUTES))
def test_dependencies_are_respected(student: tuple[dict[Day, DayFacts], int], target: Level, minutes: int) -> None:
    """A plan for an inactive student begins with activity; no weak component is worked on while one before it is weak.

    Except for those that are postponed, because the plan needs their minutes for others.
    """
    days, retention = student
    work, postponed = plan_work(Evidence(days, TODAY, retention), floor=FLOORS[target], minutes_per_day=minutes)
    if work and (components_on(days, TODAY, retention).consistency or 0.0) < 0.5:  # still weak tomorrow
        assert work[0].component == "consistency"
    for before, each in pairwise(work):
        if before.day == each.day and before.units and each.component in CHAIN:
            earlier = [name for name in CHAIN[: CHAIN.index(each.component)] if name not in postponed]
            assert all((getattr(before.components, name) or 0.0) >= 0.7 for name in earlier)


@given(
    students(),
    st.integers(1, MOST_RECOMMENDATIONS),
    st.none() | st.sampled_from(Priority),
    st.sets(st.sampled_from(Components._fields), min_size=1).map(sorted).flatmap(st.permutations),
)
def test_recommendations(
    student: tuple[dict[Day, DayFacts], int], limit: int, priority: Priority | None, components: Sequence[str]
) -> None:
    """At most ``limit``, each for a wanted component below 0.7, in a stable order; their gains add up to the formula's."""
    window = window_on(student[0], TODAY, student[1])
    parts = window_components(window)
    found = recommend(window, limit=limit, priority=priority, components=components)
    everything = recommend(window, priority=priority, components=components)
    assert len(found) <= limit
    assert found == everything[:limit]
    assert found == recommend(window, limit=limit, priority=priority, components=sorted(components))
    for each in found:
        score = getattr(parts, each.component)
        assert score is None or score < 0.7
        assert each.component in components
        assert priority in {None, each.priority}
        assert abs(each.impact - getattr(DEFAULT_WEIGHTS, each.component) * (0.7 - (score or 0.0))) < 1e-6
        assert each.impact >= PRIORITY_FLOORS[each.priority]
        assert 0.7 <= each.reached <= 1
        assert each.units > 0
    afterwards = mastery_score(parts._replace(**{each.component: each.reached for each in found}))
    assert abs(sum(each.gain for each in found) - (afterwards - mastery_score(parts))) < 1e-9
    ranks = [list(Priority).index(each.priority) for each in found]
    assert ranks == sorted(ranks)


@given(students())
def test_every_weak_component_has_a_recommendation(student: tuple[dict[Day, DayFacts], int]) -> None:
    """Without filters: exactly one for each."""
    window = window_on(student[0], TODAY, student[1])
    weak = {name for name, score in window_components(window)._asdict().items() if score is None or score < 0.7}
    found = [each.component for each in recommend(window)]
    assert len(found) == len(set(found))
    assert set(found) == weak
