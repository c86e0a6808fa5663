"""Consent records, on every server."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count

import pytest

from app.bootstrap import Engine
from app.consent.change_consent import change_consent
from app.consent.consent import MAX_HISTORY, Author, Consent, Decision
from app.consent.consent_store import STUDENTS_PER_CALL, ConsentStore
from app.consent.require_consent import require_consent
from app.errors import ConsentWithdrawn, DependencyUnavailable
from app.mastery.derive_scores import refresh_scores
from app.mastery.evidence import QUIZ
from app.purposes import Purpose
from app.storage.erased import Erased
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation

DAY = 86_400
PREDICTIONS, RECOMMENDATIONS, STATISTICS = Purpose
BY = Author("student", "9f86d081884c7d659a2feaa0")


def change(
    engine: Engine,
    wanted: Mapping[Purpose, bool],
    student: str = "s-1",
    tenant: str = "t",
    by: Author = BY,
    now: datetime = NOW,
) -> Consent:
    return change_consent(tenant, student, wanted, by, consents=engine.consents, now=now)


def refresh(engine: Engine, now: datetime) -> None:
    assert list(refresh_scores(stores=engine.mastery, consents=engine.consents, now=now, batch=10)) != []


def ttl(engine: Engine, student: str = "s-1") -> int:
    return int(engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:consent:{student}"))


def test_a_decision_is_stored_with_its_time_and_author(engine: Engine) -> None:
    """For this student of this tenant."""
    assert engine.consents.read("t", "s-1").history == []
    change(engine, {PREDICTIONS: False, STATISTICS: True})
    at = round(NOW.timestamp() * 1000)
    assert engine.consents.read("t", "s-1").history == [
        Decision("predictions", given=False, at=at, role="student", who=BY.who),
        Decision("cohort_statistics", given=True, at=at, role="student", who=BY.who),
    ]
    assert (engine.consents.read("t", "s-2").history, engine.consents.read("u", "s-1").history) == ([], [])


def test_the_same_decision_again_changes_nothing(engine: Engine) -> None:
    """Neither the history nor the time to live nor the basis of statistics."""
    change(engine, {STATISTICS: False})
    engine.redis.expire(f"{engine.settings.key_prefix}:{{t}}:consent:s-1", 1000)
    before, basis = engine.consents.read("t", "s-1"), engine.consents.statistics_basis("t")
    assert change(engine, {STATISTICS: False}, by=Author("admin", "ada"), now=NOW + timedelta(days=1)) == before
    assert (engine.consents.read("t", "s-1"), engine.consents.statistics_basis("t")) == (before, basis)
    assert ttl(engine) <= 1000


def test_concurrent_changes_lose_nothing(engine: Engine) -> None:
    """Threads that change different purposes of one student back and forth: each change is in the history, in order."""
    each, numbers = 8, count()

    def toggle(purpose: Purpose) -> None:
        for number in range(each):
            change(engine, {purpose: bool(number % 2)}, now=NOW + timedelta(seconds=next(numbers)))

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(toggle, purpose) for purpose in Purpose]:
            done.result()
    history = engine.consents.read("t", "s-1").history
    for purpose in Purpose:
        assert [decision.given for decision in history if decision.purpose == purpose] == [False, True] * (each // 2)
    assert engine.consents.statistics_basis("t") == str(each)


def test_a_record_that_was_changed_is_not_replaced(engine: Engine) -> None:
    """The caller reads it again."""
    before = engine.consents.read("t", "s-1")
    change(engine, {PREDICTIONS: False})
    new = before.changed({RECOMMENDATIONS: False}, BY, NOW)
    assert not engine.consents.replace("t", "s-1", before, new)
    assert len(engine.consents.read("t", "s-1").history) == 1


def test_a_change_gives_up_if_others_always_come_first(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller may try again later."""
    monkeypatch.setattr("app.consent.change_consent.MAX_ATTEMPTS", 0)
    with pytest.raises(DependencyUnavailable, match="is being changed by other requests"):
        change(engine, {PREDICTIONS: False})


def test_the_history_is_bounded(engine: Engine) -> None:
    """What holds stays, however often other purposes change."""
    change(engine, {STATISTICS: False})
    for number in range(MAX_HISTORY + 10):
        change(engine, {PREDICTIONS: bool(number % 2)})
    found = engine.consents.read("t", "s-1")
    assert (len(found.history), found.allows(STATISTICS), found.allows(PREDICTIONS)) == (MAX_HISTORY, False, True)


def test_many_students_at_once(engine: Engine) -> None:
    """Those who allow it; by default all without a decision."""
    students = [f"s-{number}" for number in range(2 * STUDENTS_PER_CALL + 1)]
    change(engine, {STATISTICS: False}, "s-0")
    change(engine, {STATISTICS: False}, f"s-{2 * STUDENTS_PER_CALL}")
    change(engine, {STATISTICS: False}, "s-1", tenant="u")
    change(engine, {STATISTICS: True, PREDICTIONS: False}, "s-2")
    allowed = engine.consents.allowing("t", students, STATISTICS)
    assert set(students) - allowed == {"s-0", f"s-{2 * STUDENTS_PER_CALL}"}
    assert engine.consents.allowing("t", [], STATISTICS) == set()
    strict = ConsentStore(engine.redis, engine.settings.key_prefix, 90, frozenset({STATISTICS}))
    assert strict.allowing("t", students, STATISTICS) == {"s-2"}
    assert strict.allowing("t", students, PREDICTIONS) == set(students) - {"s-2"}


def test_many_students_are_one_round_trip(engine: Engine) -> None:
    """A pipeline with one command for a thousand of them."""
    engine.consents.allowing("t", ["s-1"], STATISTICS)
    before = engine.redis.info("commandstats")["cmdstat_mget"]["calls"]
    engine.consents.allowing("t", map(str, range(3 * STUDENTS_PER_CALL)), STATISTICS)
    assert engine.redis.info("commandstats")["cmdstat_mget"]["calls"] - before == 3


def test_a_record_that_cannot_be_read_allows_nothing(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The other students count; the log does not name the student."""
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:consent:s-1", b"broken")
    assert engine.consents.allowing("t", ["s-1", "s-2"], STATISTICS) == {"s-2"}
    assert "a consent record cannot be read" in caplog.text
    assert "s-1" not in caplog.text


def test_the_basis_of_statistics(engine: Engine) -> None:
    """It changes with each decision about cohort_statistics in the tenant, and with the setting; not with other purposes."""
    first = engine.consents.statistics_basis("t")
    change(engine, {PREDICTIONS: False})
    change(engine, {STATISTICS: False}, tenant="u")
    assert engine.consents.statistics_basis("t") == first
    change(engine, {STATISTICS: False})
    second = engine.consents.statistics_basis("t")
    change(engine, {STATISTICS: True}, "s-2")
    strict = ConsentStore(engine.redis, engine.settings.key_prefix, 90, frozenset({STATISTICS}))
    assert len({first, second, engine.consents.statistics_basis("t"), strict.statistics_basis("t")}) == 4


def test_consent_is_required_by_the_latest_decision(engine: Engine) -> None:
    """The error names the purpose and no student."""
    require_consent("t", "s-1", STATISTICS, consents=engine.consents)
    change(engine, {STATISTICS: False})
    with pytest.raises(ConsentWithdrawn, match=r"^the student has not consented to cohort statistics$"):
        require_consent("t", "s-1", STATISTICS, consents=engine.consents)
    require_consent("t", "s-1", PREDICTIONS, consents=engine.consents)
    change(engine, {STATISTICS: True})
    require_consent("t", "s-1", STATISTICS, consents=engine.consents)


class TestRetention:
    """A record is kept while the student has data, or 90 days after the last decision."""

    def test_from_the_last_decision(self, engine: Engine) -> None:
        """It expires by itself."""
        change(engine, {PREDICTIONS: False})
        assert 90 * DAY - 5 <= ttl(engine) <= 90 * DAY
        engine.redis.expire(f"{engine.settings.key_prefix}:{{t}}:consent:s-1", 1000)
        change(engine, {PREDICTIONS: True})
        assert 90 * DAY - 5 <= ttl(engine) <= 90 * DAY

    def test_while_the_student_has_data(self, engine: Engine) -> None:
        """It is prolonged, however old the decision is."""
        change(engine, {PREDICTIONS: False}, now=NOW - timedelta(days=80))
        engine.redis.expire(f"{engine.settings.key_prefix}:{{t}}:consent:s-1", 10 * DAY)
        engine.consents.keep("t", {"s-0": True, "s-1": True}, NOW)
        assert 90 * DAY - 5 <= ttl(engine) <= 90 * DAY
        assert keys(engine) == {"{t}:consent:s-1"}

    def test_when_the_data_are_gone(self, engine: Engine) -> None:
        """It is kept for the rest of the 90 days, and removed after them."""
        change(engine, {PREDICTIONS: False}, now=NOW - timedelta(days=200))
        change(engine, {PREDICTIONS: True}, now=NOW - timedelta(days=60))
        change(engine, {PREDICTIONS: False}, "s-2", now=NOW - timedelta(days=90, seconds=1))
        engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:consent:s-3", "broken", ex=50)
        engine.consents.keep("t", dict.fromkeys(["s-0", "s-1", "s-2", "s-3"], False), NOW)
        assert 30 * DAY - 5 <= ttl(engine) <= 30 * DAY
        assert keys(engine) == {"{t}:consent:s-1", "{t}:consent:s-3"}

    def test_of_many_students(self, engine: Engine) -> None:
        """In several calls of the script."""
        last = f"s-{STUDENTS_PER_CALL}"
        change(engine, {PREDICTIONS: False}, last, now=NOW - timedelta(days=91))
        engine.consents.keep("t", {f"s-{number}": number != STUDENTS_PER_CALL for number in range(STUDENTS_PER_CALL + 1)}, NOW)
        assert engine.consents.read("t", last).history == []


class TestRefresh:
    """The hourly refresh of scores says who has data."""

    def test_it_prolongs_the_record_of_a_student_with_evidence(self, engine: Engine) -> None:
        """A withdrawal is never undone by its age."""
        merge(engine, observation(1, TODAY, QUIZ, 8, 10))
        change(engine, {PREDICTIONS: False})
        engine.redis.expire(f"{engine.settings.key_prefix}:{{t}}:consent:s-1", DAY)
        refresh(engine, NOW + timedelta(days=89))
        assert ttl(engine) > 89 * DAY

    def test_it_removes_the_record_with_the_last_evidence(self, engine: Engine) -> None:
        """If the last decision is older than the retention."""
        merge(engine, observation(1, TODAY, QUIZ, 8, 10))
        merge(engine, observation(1, TODAY, QUIZ, 8, 10), student="s-2")
        change(engine, {PREDICTIONS: False})
        change(engine, {PREDICTIONS: False}, "s-2", now=NOW + timedelta(days=30))
        refresh(engine, NOW + timedelta(days=90))
        assert engine.consents.read("t", "s-1").history == []
        assert 30 * DAY - 5 <= ttl(engine, "s-2") <= 30 * DAY

    def test_a_damaged_record_of_facts_is_data(self, engine: Engine) -> None:
        """As long as its latest day is retained; then it is removed, and the decisions too."""
        merge(engine, observation(1, TODAY, QUIZ, 8, 10))
        change(engine, {PREDICTIONS: False})
        engine.redis.hset(engine.mastery.facts.record_key("t", "s-1"), "window", b"\xc1")
        refresh(engine, NOW + timedelta(days=89))
        assert ttl(engine) > 89 * DAY
        refresh(engine, NOW + timedelta(days=90))
        assert engine.consents.read("t", "s-1").history == []


def test_erasure(engine: Engine) -> None:
    """Nothing is left of these students; others keep their decisions. It may be repeated."""
    for student in ("s-1", "s-2", "s-3"):
        change(engine, {STATISTICS: False}, student)
    change(engine, {STATISTICS: False}, "s-1", tenant="u")
    assert engine.consents.erase("t", ["s-1", "s-2", "s-9"]) == Erased(2)
    assert engine.consents.erase("t", ["s-1", "s-2", "s-9"]) == Erased(0)
    assert engine.consents.erase("t", []) == Erased(0)
    assert {each for each in keys(engine) if "revision" not in each} == {"{t}:consent:s-3", "{u}:consent:s-1"}
    assert engine.consents.read("t", "s-1").allows(STATISTICS)
