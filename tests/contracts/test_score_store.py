"""The store of scores and rankings, on every server."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from app.bootstrap import Engine
from app.errors import NotFound
from app.mastery.calculate_mastery import calculate_mastery
from app.mastery.derive_scores import Refreshed, derive_scores, refresh_scores
from app.mastery.evidence import ACTIVITY, QUIZ
from app.mastery.formula import Weights
from app.mastery.score_store import Score
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation


def sizes(refreshed: Iterable[Refreshed]) -> list[tuple[str, int]]:
    """The tenant and the number of students of each batch."""
    return [(each.tenant, len(each.students) + len(each.removed)) for each in refreshed]


def test_a_student_whose_score_was_never_written_is_due(engine: Engine) -> None:
    """A worker died between facts and score, and no event follows: the refresh finds the student."""
    engine.mastery.facts.merge("t", {"s-1": [observation(1, TODAY, QUIZ, 1, 1)]}, TODAY)
    assert sizes(refresh_scores(stores=engine.mastery, consents=engine.consents, now=NOW, batch=10)) == [("t", 1)]
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.3)]


def test_a_student_who_changes_cohort_changes_ranking(engine: Engine) -> None:
    """The cohort of the latest event counts, in any order of arrival."""
    merge(engine, observation(2, TODAY, QUIZ, 1, 1, cohort="c-2"))
    merge(engine, observation(1, TODAY - 1, QUIZ, 1, 1, cohort="c-1"))
    assert engine.mastery.facts.cohort_of("t", "s-1") == "c-2"
    merge(engine, observation(3, TODAY, QUIZ, 0, 2, cohort="c-3"))
    assert engine.mastery.facts.cohort_of("t", "s-1") == "c-3"
    assert engine.mastery.scores.ranking("t", "c-2") == []
    assert engine.mastery.scores.ranking("t", "c-3") == [("s-1", 0.15)]
    assert engine.mastery.scores.cohorts("t") == ["c-3"]  # an empty one would stay forever


def test_a_student_without_a_cohort_is_in_no_ranking(engine: Engine) -> None:
    """The student is still scored and found."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 1, cohort=""))
    assert engine.mastery.scores.cohorts("t") == []
    assert engine.mastery.scores.stale_students("t", TODAY + 1, 10) == ["s-1"]


def test_an_older_revision_s_score_does_not_replace_a_newer_one(engine: Engine) -> None:
    """If two workers score the same student, the outdated score is dropped."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 1))
    merge(engine, observation(2, TODAY, QUIZ, 0, 1))
    engine.mastery.scores.put("t", [Score("s-1", revision=1, day=TODAY, mastery=0.9)], NOW)
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.15)]


def test_a_score_does_not_bring_back_a_student_who_is_gone(engine: Engine) -> None:
    """A late score of a removed student is dropped."""
    engine.mastery.scores.put("t", [Score("s-1", revision=1, day=TODAY, mastery=0.9)], NOW)
    assert keys(engine) == set()


def test_the_order_of_a_ranking(engine: Engine) -> None:
    """Lowest mastery first."""
    for number in (2, 3, 1):
        merge(engine, observation(1, TODAY, QUIZ, number, 3), student=f"s-{number}")
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.1), ("s-2", 0.2), ("s-3", 0.3)]


def test_refresh_brings_every_score_up_to_today(engine: Engine) -> None:
    """Mastery falls when activity gets too old; students without evidence are removed."""
    for number in range(5):
        merge(engine, observation(1, TODAY, ACTIVITY), observation(2, TODAY - 89, QUIZ, 1, 1), student=f"s-{number}")
    merge(engine, observation(1, TODAY - 80, QUIZ, 1, 1), student="s-old")
    later = NOW + timedelta(days=14)
    assert sizes(refresh_scores(stores=engine.mastery, consents=engine.consents, now=later, batch=2)) == [("t", 2)] * 3
    assert engine.mastery.scores.ranking("t", "c-1") == [(f"s-{number}", 0.0) for number in range(5)]
    assert sizes(refresh_scores(stores=engine.mastery, consents=engine.consents, now=later, batch=2)) == []


def test_an_abandoned_refresh_is_continued_by_the_next(engine: Engine) -> None:
    """What is left is found in Redis."""
    for number in range(5):
        merge(engine, observation(1, TODAY, QUIZ, 1, 1), student=f"s-{number}")
    tomorrow = NOW + timedelta(days=1)
    assert len(next(refresh_scores(stores=engine.mastery, consents=engine.consents, now=tomorrow, batch=2)).students) == 2
    assert len(engine.mastery.scores.stale_students("t", TODAY + 1, 10)) == 3
    assert sizes(refresh_scores(stores=engine.mastery, consents=engine.consents, now=tomorrow, batch=2)) == [("t", 2), ("t", 1)]


def test_a_recalculated_score_is_kept_under_the_usual_weights(engine: Engine) -> None:
    """The stored score ignores the response's weights, so that ranks compare. The score also changes as activity gets old."""
    merge(engine, observation(1, TODAY, ACTIVITY), observation(2, TODAY, QUIZ, 1, 2))
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.157143)]
    later = NOW + timedelta(days=20)
    standing = calculate_mastery("t", "s-1", stores=engine.mastery, now=later, weights=Weights(0, 1, 0, 0))
    assert standing.score == 0.5
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.15)]
    with pytest.raises(NotFound):
        calculate_mastery("t", "nobody", stores=engine.mastery, now=later)


def test_a_score_that_cannot_be_kept_does_not_stop_the_others(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, without the student."""
    merged = engine.mastery.facts.merge("t", {each: [observation(1, TODAY, QUIZ, 1, 1)] for each in ("s-1", "s-2")}, TODAY)
    engine.redis.delete(f"{engine.settings.key_prefix}:{{t}}:student:s-1")
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:student:s-1", "not a hash")
    derive_scores("t", merged, stores=engine.mastery, now=NOW)
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-2", 0.3)]
    assert "scores that cannot be stored: 1" in caplog.text
    assert "s-1" not in caplog.text


def test_refresh_goes_on_past_a_student_who_cannot_be_refreshed(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Such a student is left for the next day, and not retried forever."""
    for student in ("s-1", "s-2"):
        merge(engine, observation(1, TODAY, QUIZ, 1, 1), student=student)
    engine.redis.delete(f"{engine.settings.key_prefix}:{{t}}:student:s-1")
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:student:s-1", "not a hash")
    tomorrow = NOW + timedelta(days=1)
    assert sizes(refresh_scores(stores=engine.mastery, consents=engine.consents, now=tomorrow, batch=1)) == [("t", 1)] * 2
    assert engine.mastery.scores.stale_students("t", TODAY + 1, 10) == []
    assert engine.mastery.scores.stale_students("t", TODAY + 2, 10) == ["s-1", "s-2"]
    assert "cannot be updated: 1" in caplog.text


def test_an_expired_student_with_a_damaged_record_is_removed(engine: Engine) -> None:
    """On the day when the last evidence has expired, like others; until then the record stays, for an operator."""
    before = keys(engine)
    merge(engine, observation(1, TODAY, QUIZ, 1, 1))
    engine.redis.hset(engine.mastery.facts.record_key("t", "s-1"), "window", b"\xc1")
    for days, removed in ((1, set[str]()), (89, set[str]()), (90, {"s-1"})):
        (refreshed,) = refresh_scores(stores=engine.mastery, consents=engine.consents, now=NOW + timedelta(days=days), batch=10)
        assert refreshed.removed == removed
    assert keys(engine) - before == {"tenants", "{t}:totals", "{t}:changes"}  # the change is published before
