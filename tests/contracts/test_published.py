"""The statistics that students see, on every server: what is published when, and what withholds it."""

from datetime import timedelta

import numpy as np
import pytest

from app.analytics.publish_statistics import publish_statistics
from app.bootstrap import Engine
from app.clock import day_number, microseconds
from app.mastery.evidence import QUIZ
from app.mastery.rankings import Metric
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation
from tests.contracts.publications import (
    MADE,
    NO_VALUES,
    SIX,
    TOMORROW,
    completions,
    decide,
    enrol,
    erase,
    learn,
    numbers,
    publish,
)
from tests.rankings import ranking_of


def test_a_version_a_day(engine: Engine) -> None:
    """It stays as it is until the next day, whatever happens; then at least five values are others."""
    enrol(engine)
    assert publish(engine) == [6]
    assert completions(engine) == (0, [0, 1, 2, 3, 4, 5])
    for number, student in enumerate(SIX):
        learn(engine, student, 10 + number)
    assert publish(engine) == []
    assert completions(engine) == (0, [0, 1, 2, 3, 4, 5])
    assert publish(engine, TOMORROW) == [6]
    assert completions(engine) == (1, [10, 11, 12, 13, 14, 15])


def test_a_version_that_would_tell_of_one_student_is_not_published(engine: Engine) -> None:
    """The former one stays, with its day, and the next one is compared with it. Without a change only the day moves on."""
    enrol(engine)
    publish(engine)
    assert publish(engine, TOMORROW) == [6]
    assert completions(engine) == (1, [0, 1, 2, 3, 4, 5])
    for days, students in ((2, SIX[:1]), (3, SIX[1:4])):
        now = NOW + timedelta(days=days)
        for number, student in enumerate(students):
            learn(engine, student, 10 * days + number, now)
        assert publish(engine, now) == [6]
        assert completions(engine) == (1, [0, 1, 2, 3, 4, 5])
    now = NOW + timedelta(days=4)
    learn(engine, SIX[4], 40, now)
    publish(engine, now)
    assert completions(engine) == (4, [5, 20, 30, 31, 32, 40])


def test_nothing_before_the_refresh_has_run(engine: Engine) -> None:
    """Until then, scores are of different days."""
    enrol(engine)
    steps = publish_statistics("t", stores=engine.mastery, published=engine.published, today=day_number(TOMORROW))
    assert (list(steps), completions(engine)) == ([], None)


@pytest.mark.parametrize("happens", ["withdrawal", "erasure"])
def test_a_withdrawal_and_an_erasure_withhold_at_once(engine: Engine, happens: str) -> None:
    """Until a version is published that hides who it was: with five others, not with the five that are left unchanged."""
    enrol(engine)
    publish(engine)
    if happens == "erasure":
        erase(engine, SIX[0])
    else:
        decide(engine, SIX[0], given=False)
    assert completions(engine) is None
    publish(engine, TOMORROW)
    assert completions(engine) is None
    now = NOW + timedelta(days=2)
    for number, student in enumerate(SIX[1:]):
        learn(engine, student, 50 + number, now)
    publish(engine, now)
    assert completions(engine) == (2, [50, 51, 52, 53, 54])


def test_other_decisions_and_students_withhold_nothing(engine: Engine) -> None:
    """A yes of a member, a no of somebody else, and what happens to students who were not counted."""
    enrol(engine)
    enrol(engine, [f"other-{number}" for number in range(5)], cohort="c-2")
    decide(engine, SIX[0], given=False)
    publish(engine)
    decide(engine, SIX[1], given=True)
    decide(engine, "other-0", given=False)
    decide(engine, "unknown", given=False)
    erase(engine, SIX[0])
    assert completions(engine) == (0, [1, 2, 3, 4, 5])
    assert completions(engine, "c-2") is None


def test_nothing_is_stored_where_nothing_was_published(engine: Engine) -> None:
    """It would have no time to live."""
    enrol(engine)
    decide(engine, SIX[0], given=False)
    erase(engine, SIX[1])
    assert [key for key in keys(engine) if ":published:" in key] == []


def test_a_withdrawal_that_is_revoked_shows_the_same_again_the_next_day(engine: Engine) -> None:
    enrol(engine)
    publish(engine)
    decide(engine, SIX[0], given=False)
    decide(engine, SIX[0], given=True)
    assert completions(engine) is None
    publish(engine, TOMORROW)
    assert completions(engine) == (1, [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("is_first", [True, False])
def test_who_withdraws_while_a_version_is_made_is_not_in_it(engine: Engine, is_first: bool) -> None:
    """It is made anew by the next run: also the first version of a cohort, which withholds no other."""
    enrol(engine)
    now = NOW if is_first else TOMORROW
    if not is_first:
        publish(engine)
    begun = engine.published.begin("t", "c-1", day_number(now))
    decide(engine, SIX[0], given=False)
    assert not engine.published.publish("t", "c-1", begun, MADE)
    assert completions(engine) is None
    assert publish(engine, now) == [5]
    assert completions(engine) == ((0, [1, 2, 3, 4, 5]) if is_first else None)


def test_of_two_processes_the_later_one_publishes(engine: Engine) -> None:
    """What the earlier one has read may have been changed since."""
    earlier, later = engine.published.begin("t", "c-1", TODAY), engine.published.begin("t", "c-1", TODAY)
    assert not engine.published.publish("t", "c-1", earlier, MADE)
    assert engine.published.publish("t", "c-1", later, MADE)
    assert not engine.published.publish("t", "c-1", later, MADE)


def test_fewer_than_five_show_nothing(engine: Engine) -> None:
    """What was published before stays stored: the five of later are compared with it, or they would tell who is missing."""
    enrol(engine)
    publish(engine)
    for student in SIX[:2]:
        learn(engine, student, 90, cohort="c-2")
    assert sorted(publish(engine, TOMORROW)) == [2, 4]
    assert completions(engine) is None
    now = NOW + timedelta(days=2)
    learn(engine, "s-new", 60, now)
    assert sorted(publish(engine, now)) == [2, 5]
    assert completions(engine) is None
    for number, student in enumerate(SIX[2:]):
        learn(engine, student, 50 + number, now)
    publish(engine, now + timedelta(days=1))
    assert completions(engine) == (3, [50, 51, 52, 53, 60])


def test_components_of_a_few_hide_all_of_them(engine: Engine) -> None:
    """And only them. What was published of them before stays stored, but is not shown with the newer version."""
    enrol(engine)
    publish(engine)
    for number, student in enumerate(SIX):
        learn(engine, student, 10 + number)
    merge(engine, observation(next(numbers), TODAY, QUIZ, 1, 1), student=SIX[0])
    publish(engine, TOMORROW)
    found = engine.published.read("t", "c-1", NO_VALUES)
    assert found is not None
    assert (found.day, [metric for metric, of in found.rankings.items() if of.students]) == (TODAY + 1, [Metric.MASTERY])
    stored = engine.published.begin("t", "c-1", TODAY).published[Metric.COMPLETION]
    assert list(stored) == [10_000 * number for number in range(6)]


def test_who_allows_it_again_brings_back_what_was_withheld(engine: Engine) -> None:
    """With the next run of the same day: nothing differs. Until then, a run decides that too little differs."""
    enrol(engine)
    publish(engine)
    decide(engine, SIX[0], given=False)
    assert publish(engine) == [5]
    assert publish(engine) == []
    assert completions(engine) is None
    decide(engine, SIX[0], given=True)
    assert completions(engine) is None
    assert publish(engine) == [6]
    assert completions(engine) == (0, [0, 1, 2, 3, 4, 5])


def test_all_versions_of_a_tenant_are_dropped(engine: Engine) -> None:
    """Also of a cohort that has ended; nothing of another tenant."""
    for tenant in ("t", "u"):
        enrol(engine, tenant=tenant)
        publish(engine, tenant=tenant)
    engine.mastery.facts.erase("t", dict.fromkeys(SIX, microseconds(NOW)), up_to_request=True)
    assert engine.mastery.scores.cohorts("t") == []
    engine.published.drop("t")
    assert not {key for key in keys(engine) if key.startswith("{t}:published")}
    assert completions(engine, tenant="u") is not None


@pytest.mark.parametrize("value", [None, 0, 3, 4, 1_000_000, 4_294_967_295])
def test_the_place_of_a_value(engine: Engine, value: int | None) -> None:
    """Among ties, below and above all others; without a value there is none."""
    values = np.array([1, 3, 3, 3, 4, 1_000_000], np.uint32)
    begun = engine.published.begin("t", "c-1", TODAY)
    assert engine.published.publish("t", "c-1", begun, dict.fromkeys(Metric, values))
    found = engine.published.read("t", "c-1", dict.fromkeys(Metric, value))
    assert found is not None
    assert found.rankings == dict.fromkeys(Metric, ranking_of(values, value))


def test_an_abandoned_run_is_continued(engine: Engine) -> None:
    """By any other one; each cohort is looked at once a day."""
    cohorts = ["c-1", "c-2", "c-3"]
    for cohort in cohorts:
        enrol(engine, [f"{cohort}-{number}" for number in range(5)], cohort=cohort)
    run = publish_statistics("t", stores=engine.mastery, published=engine.published, today=TODAY)
    assert next(run) == 5
    assert [completions(engine, cohort) is None for cohort in cohorts] == [False, True, True]
    assert publish(engine) == [5, 5]
    assert [completions(engine, cohort) is None for cohort in cohorts] == [False, False, False]


def test_nothing_of_another_tenant(engine: Engine) -> None:
    """Neither is published nor withheld with it, although the cohorts have the same name."""
    for tenant in ("t", "u"):
        enrol(engine, tenant=tenant)
    publish(engine)
    assert completions(engine, tenant="u") is None
    publish(engine, tenant="u")
    erase(engine, SIX[0])
    assert completions(engine) is None
    assert completions(engine, tenant="u") == (0, [0, 1, 2, 3, 4, 5])
