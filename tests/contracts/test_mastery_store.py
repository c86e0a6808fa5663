"""The store of facts, on every server."""

from datetime import datetime, timedelta
from typing import cast

import pytest

from app.bootstrap import Engine
from app.clock import day_number
from app.config.quotas import Quotas
from app.errors import DependencyUnavailable, NotFound
from app.events.event_totals import DONE_SECONDS, Totals
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ
from app.mastery.fact_store import FactStore
from app.mastery.facts import DayFacts, Window
from app.mastery.merged import OVER_EVENTS, OVER_QUOTA
from app.storage.scripts import STUDENTS_PER_CALL
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, keys, merge, observation, window


def test_evidence_of_each_kind_is_kept_by_day(engine: Engine) -> None:
    """Sums, counts, the latest completion and an active mark."""
    merge(
        engine,
        observation(1, TODAY, QUIZ, 8, 10),
        observation(2, TODAY, QUIZ, 1, 2),
        observation(3, TODAY, QUALITY, 800_000, 1),
        observation(4, TODAY, ACTIVITY),
        observation(5, TODAY - 1, COMPLETION, 4, 5),
    )
    assert engine.mastery.facts.read("t", "s-1", TODAY).days == {
        TODAY: DayFacts(correct=9, asked=12, quality_millionths=800_000, submissions=1, active=1),
        TODAY - 1: DayFacts(completed=4, total=5),
    }
    assert window(engine) == Window(
        revision=1,
        day=TODAY,
        correct=9,
        asked=12,
        quality_millionths=800_000,
        submissions=1,
        newest_active_day=TODAY,
        active_bits=1,
        completion_day=TODAY - 1,
        completed=4,
        total=5,
    )


def test_each_mark_counts_once_in_and_across_calls(engine: Engine) -> None:
    """The outcomes say, in order, which were applied and which were duplicates."""
    one, two = observation(1, TODAY, QUIZ, 1, 1), observation(2, TODAY - 5, QUIZ, 1, 1)
    assert merge(engine, one, one, two) == "101"
    assert merge(engine, two, one, observation(3, TODAY, ACTIVITY)) == "001"
    assert engine.event_totals.of("t") == Totals(applied=3, duplicates=3)
    assert window(engine).correct == 2  # type: ignore[union-attr]


def test_marks_are_compared_whole(engine: Engine) -> None:
    """The bytes of two neighbouring marks are not taken for a third one."""
    first, second = bytes(range(1, 9)), bytes(range(11, 19))
    between = (first + TODAY.to_bytes(2) + second)[4:12]
    marks = [(mark, TODAY, QUIZ, 1, 1, TODAY, mark * 2, "") for mark in (first, second, between)]
    assert merge(engine, *marks) == "111"
    assert merge(engine, *marks) == "000"


def test_the_latest_completion_wins_whatever_comes_first(engine: Engine) -> None:
    """The timestamp decides, then the event id, compared as bytes."""
    low, high = b"\x7f" * 16, b"\x80" + b"\x00" * 15
    early = (b"mark-001", TODAY, COMPLETION, 1, 9, 1_000, high, "")
    late = (b"mark-002", TODAY, COMPLETION, 2, 9, 2_000, low, "")
    tied = (b"mark-003", TODAY, COMPLETION, 3, 9, 2_000, high, "")
    for order in ([early, late, tied], [tied, late, early], [late, tied, early]):
        student = f"s-{order[0][2]}-{order[0][0].decode()}"
        assert merge(engine, *order, student=student) == "111"
        assert window(engine, student=student).completed == 3  # type: ignore[union-attr]
        for each in order:
            merge(engine, each, student=f"{student}-alone")
        assert window(engine, student=f"{student}-alone").completed == 3  # type: ignore[union-attr]


def test_evidence_of_tomorrow_waits_for_its_day(engine: Engine) -> None:
    """A producer's clock may be ahead: the event is not in today's window, but in tomorrow's."""
    merge(engine, observation(1, TODAY + 1, QUIZ, 1, 2), observation(2, TODAY, QUIZ, 1, 1))
    assert window(engine).asked == 1  # type: ignore[union-attr]
    assert window(engine, TODAY + 1).asked == 3  # type: ignore[union-attr]


def test_a_worker_whose_clock_lags_does_not_turn_the_window_back(engine: Engine) -> None:
    """Just after midnight two workers may differ by a day."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 1))
    assert merge(engine, observation(2, TODAY, QUIZ, 1, 1), today=TODAY - 1) == "1"
    assert window(engine).correct == 2  # type: ignore[union-attr]


def test_a_worker_whose_clock_lags_does_not_count_again_what_the_window_has_passed(engine: Engine) -> None:
    """The day and its marks are gone, so the event is expired, whichever worker gets it."""
    old, new = observation(1, TODAY - 89, QUIZ, 1, 1), observation(2, TODAY, QUIZ, 1, 1)
    merge(engine, old, new)
    window(engine, TODAY + 1)
    assert merge(engine, old) == "x"
    assert engine.event_totals.of("t") == Totals(applied=2, expired=1)


def test_a_cohort_expires_with_the_event_that_named_it(engine: Engine) -> None:
    """This does not depend on other events."""
    merge(engine, observation(1, TODAY - 89, QUIZ, 1, 1, cohort="c-old"), observation(2, TODAY, QUIZ, 1, 1, cohort=""))
    assert engine.mastery.facts.cohort_of("t", "s-1") == "c-old"
    merge(engine, observation(3, TODAY + 1, QUIZ, 1, 1, cohort=""), today=TODAY + 1)
    assert engine.mastery.facts.cohort_of("t", "s-1") is None
    assert engine.mastery.scores.ranking("t", "c-old") == []


def test_the_window_moves_with_the_days(engine: Engine) -> None:
    """Evidence leaves after ninety days, activity after fourteen; each move is a new revision."""
    merge(engine, observation(1, TODAY - 89, QUIZ, 1, 1), observation(2, TODAY, QUIZ, 2, 2), observation(3, TODAY, ACTIVITY))
    before, after = window(engine), window(engine, TODAY + 1)
    assert before is not None
    assert after is not None
    assert (before.asked, after.asked) == (3, 2)
    assert (before.active_bits, after.active_bits) == (1, 2)
    assert after.revision == before.revision + 1
    assert window(engine, TODAY + 14).active_bits == 0  # type: ignore[union-attr]
    assert window(engine, TODAY + 14).newest_active_day == TODAY  # type: ignore[union-attr]


def test_what_expires_is_removed_with_its_marks(engine: Engine) -> None:
    """No personal data is kept longer than the retention."""
    merge(engine, observation(1, TODAY - 89, QUIZ, 1, 1), observation(2, TODAY, QUIZ, 2, 2))
    marks = f"{engine.settings.key_prefix}:{{t}}:marks:s-1"
    assert len(cast("bytes", engine.redis.get(marks))) == 20
    window(engine, TODAY + 1)
    assert engine.redis.get(marks) == (2).to_bytes(8) + TODAY.to_bytes(2)
    assert set(engine.mastery.facts.read("t", "s-1", TODAY + 1).days) == {TODAY}


def test_a_student_whose_last_evidence_expired_is_gone(engine: Engine) -> None:
    """From records, marks, rankings and indexes; a cohort goes with its last student."""
    merge(engine, observation(1, TODAY - 89, QUIZ, 1, 1))
    merge(engine, observation(2, TODAY - 89, QUIZ, 1, 1), student="s-2")
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.3), ("s-2", 0.3)]
    assert window(engine, TODAY + 1) is None
    assert engine.mastery.scores.ranking("t", "c-1") == [("s-2", 0.3)]
    assert engine.mastery.scores.cohorts("t") == ["c-1"]
    assert window(engine, TODAY + 1, "s-2") is None
    assert keys(engine) == {"tenants", "{t}:totals", "{t}:changes", "{t}:counted"}  # the latter goes with the next refresh
    with pytest.raises(NotFound):
        engine.mastery.facts.read("t", "s-1", TODAY + 1)


def test_reading_sees_only_the_retained_days(engine: Engine) -> None:
    """This includes a student whose window was not moved yet."""
    merge(engine, observation(1, TODAY - 89, QUIZ, 1, 1), observation(2, TODAY, QUIZ, 2, 2))
    assert set(engine.mastery.facts.read("t", "s-1", TODAY + 1).days) == {TODAY}
    assert set(engine.mastery.facts.read("t", "s-1", TODAY, until=TODAY - 1).days) == {TODAY - 89}
    with pytest.raises(NotFound):
        engine.mastery.facts.read("t", "s-1", TODAY + 90)


def test_more_students_than_one_call_takes(engine: Engine) -> None:
    """The result does not show the slices."""
    students = [f"s-{number}" for number in range(2 * STUDENTS_PER_CALL + 1)]
    merged = engine.mastery.facts.merge("t", {each: [observation(1, TODAY, QUIZ, 1, 1)] for each in students}, TODAY, expired=3)
    assert [each.student_id for each in merged] == students
    derive_scores("t", merged, stores=engine.mastery, now=NOW)
    assert len(engine.mastery.scores.ranking("t", "c-1")) == len(students)
    assert engine.event_totals.of("t") == Totals(applied=len(students), expired=3)


def test_only_expired_events_are_counted_too(engine: Engine) -> None:
    """A call without observations still counts."""
    assert engine.mastery.facts.merge("t", {}, TODAY, expired=7) == []
    assert engine.event_totals.of("t") == Totals(expired=7)


def test_scripts_are_loaded_again_after_the_server_forgot_them(engine: Engine) -> None:
    """A restarted server has no scripts; the first call loads them, and counts once."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 1))
    engine.redis.script_flush()
    assert merge(engine, observation(2, TODAY, QUIZ, 0, 1)) == "1"
    assert engine.event_totals.of("t") == Totals(applied=2)


def test_records_keep_the_compact_encoding(engine: Engine) -> None:
    """A record with ninety full days and the longest ids is a listpack, which keeps a student below 4 KB."""
    kinds = [(QUIZ, 10**6, 10**6), (QUALITY, 10**6, 1), (COMPLETION, 10**6, 10**6), (ACTIVITY, 0, 0)]
    observations = [
        observation(4 * day + kind, TODAY - day, kind_code, first, second, cohort="c" * 50)
        for day in range(90)
        for kind, (kind_code, first, second) in enumerate(kinds)
    ]
    merge(engine, *observations)
    assert engine.redis.object("ENCODING", f"{engine.settings.key_prefix}:{{t}}:student:s-1") == b"listpack"


def test_a_chunk_s_events_are_counted_once_however_often_it_is_merged(engine: Engine) -> None:
    """If a worker dies after merging, another repeats the chunk; the totals count its events once."""
    observations = {f"s-{number}": [observation(number, TODAY, QUIZ, 1, 1)] for number in range(STUDENTS_PER_CALL + 1)}
    for _attempt in range(2):
        engine.event_totals.begin_chunk(["t"], "7")
        engine.mastery.facts.merge("t", observations, TODAY, expired=3, chunk_id="7")
    counted = Totals(applied=len(observations), duplicates=0, expired=3)
    assert engine.event_totals.of("t") == counted
    engine.event_totals.begin_chunk(["t"], "8")
    engine.mastery.facts.merge("t", observations, TODAY, expired=3, chunk_id="8")
    assert engine.event_totals.of("t") == counted._replace(duplicates=len(observations), expired=6)
    for chunk_id in ("7", "8"):
        engine.event_totals.end_chunk(["t", "u"], chunk_id)
    left = list(engine.redis.scan_iter(f"{engine.settings.key_prefix}:*:chunk:*"))
    assert len(left) == 2
    assert all(0 < engine.redis.ttl(key) <= DONE_SECONDS for key in left)


def test_a_chunk_that_a_crash_took_back_is_not_merged(engine: Engine) -> None:
    """Its records are read again in another chunk, so a worker with the old one must not count them."""
    with pytest.raises(DependencyUnavailable):
        engine.mastery.facts.merge("t", {"s-1": [observation(1, TODAY, QUIZ, 1, 1)]}, TODAY, expired=1, chunk_id="7")
    assert engine.event_totals.of("t") == Totals()
    with pytest.raises(NotFound):
        engine.mastery.facts.read("t", "s-1", TODAY)


def test_repeating_only_leaves_alone_what_was_not_merged(engine: Engine) -> None:
    """If a chunk kills its process, it is known what was merged, and the rest can be processed separately."""
    one, two = {"s-1": [observation(1, TODAY, QUIZ, 1, 1)]}, {"s-2": [observation(2, TODAY, QUIZ, 1, 1)]}
    engine.event_totals.begin_chunk(["t"], "7")
    engine.event_totals.begin_chunk(["t"], "8")
    engine.mastery.facts.merge("t", one, TODAY, chunk_id="7")
    (repeated,) = engine.mastery.facts.merge("t", one, TODAY, chunk_id="7", repeat_only=True)
    (skipped,) = engine.mastery.facts.merge("t", two, TODAY, chunk_id="8", repeat_only=True)
    assert (repeated.outcomes, repeated.error) == ("0", None)
    assert skipped.error == "not merged before"
    assert engine.event_totals.of("t") == Totals(applied=1)
    with pytest.raises(NotFound):
        engine.mastery.facts.read("t", "s-2", TODAY)


def test_a_record_that_cannot_be_merged_into_does_not_stop_the_others(engine: Engine) -> None:
    """The error names its student; its events are not counted."""
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:student:s-2", "not a hash")
    observations = {f"s-{number}": [observation(number, TODAY, QUIZ, 1, 1)] for number in (1, 2, 3)}
    merged = engine.mastery.facts.merge("t", observations, TODAY)
    assert [each.outcomes for each in merged] == ["1", "", "1"]
    assert "WRONGTYPE" in str(merged[1].error)
    assert engine.event_totals.of("t") == Totals(applied=2)


def test_tenants_are_listed_in_order(engine: Engine) -> None:
    """Every tenant that ever sent an event."""
    for tenant in ("b", "a"):
        engine.mastery.facts.merge(tenant, {}, TODAY, expired=1)
    assert engine.mastery.tenants.all() == ["a", "b"]


def test_a_moment_of_the_engine_is_a_day_of_utc() -> None:
    """The day changes at midnight UTC, whatever the server's time zone."""
    assert day_number(datetime(1970, 1, 2)) == 1  # noqa: DTZ001 - the clock's moments are in UTC
    assert day_number(NOW + timedelta(hours=12)) == TODAY + 1


def test_a_student_has_an_end_of_events(engine: Engine) -> None:
    """A merge searches all marks of a student: without a limit, one student could block the server."""
    merge(engine, observation(1, TODAY, QUIZ, 1, 1))
    key = f"{engine.settings.key_prefix}:{{t}}:marks:s-1"
    entries = b"".join((10**9 + number).to_bytes(8) + TODAY.to_bytes(2) for number in range(100_000 - 1))
    engine.redis.append(key, entries)
    (refused,) = engine.mastery.facts.merge("t", {"s-1": [observation(2, TODAY, QUIZ, 1, 1)]}, TODAY)
    assert (OVER_EVENTS, engine.redis.strlen(key)) == (refused.error, 1_000_000)
    assert merge(engine, observation(1, TODAY, QUIZ, 1, 1)) == "0"  # what was counted is still known


def test_a_student_who_finds_room_later_is_counted_apart(engine: Engine) -> None:
    """The totals of the call's other students are counted already, without the rejected student."""
    store = FactStore(engine.redis, engine.settings.key_prefix, 90, Quotas("1"), engine.audit.pseudonyms)
    engine.event_totals.begin_chunk(["t"], "chunk")
    both = {"s-1": [observation(1, TODAY, ACTIVITY)], "s-2": [observation(2, TODAY, ACTIVITY)]}
    assert [None, OVER_QUOTA] == [each.error for each in store.merge("t", both, TODAY, chunk_id="chunk")]
    assert [None, "not merged before"] == [
        each.error for each in engine.mastery.facts.merge("t", both, TODAY, chunk_id="chunk")
    ]
    assert engine.event_totals.of("t") == Totals(applied=1)
