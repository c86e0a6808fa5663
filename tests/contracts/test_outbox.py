"""Changes are stored for publishing in the step that stores the score, on every server."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import cast

from app.bootstrap import Engine
from app.clock import day_number, microseconds
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import QUIZ, Observation
from app.mastery.outbox import PAGE
from app.mastery.outbox_entry import OutboxEntry
from app.mastery.result_messages import Change, Erasure
from app.mastery.score_store import Score
from app.storage.erased import Erased
from app.storage.keys import Keys
from app.storage.scripts import STUDENTS_PER_CALL
from tests.conftest import NOW

TODAY = day_number(NOW)


def quiz(number: int, correct: int, cohort: str = "c-1") -> Observation:
    return number.to_bytes(8), TODAY, QUIZ, correct, 10, TODAY * 86_400_000_000 + number, number.to_bytes(16), cohort


def record(engine: Engine, observation: Observation, student: str = "s-1", tenant: str = "t") -> None:
    merged = engine.mastery.facts.merge(tenant, {student: [observation]}, TODAY)
    derive_scores(tenant, merged, stores=engine.mastery, now=NOW)


def test_a_change_waits_with_what_was_before(engine: Engine) -> None:
    """They are in the order of the scores, with the time; an unchanged score makes none."""
    record(engine, quiz(1, 8))
    record(engine, quiz(1, 8))
    record(engine, quiz(2, 8, cohort="c-2"))
    record(engine, quiz(3, 0, cohort=""))
    noted = engine.outbox.read(["t"], 10)["t"]
    assert [each.changes for each in noted] == [
        [Change("s-1", "c-1", 1, TODAY, 240_000, -1)],
        [Change("s-1", "c-2", 3, TODAY, 160_000, 240_000)],
    ]
    assert {each.at for each in noted} == {NOW}


def test_what_was_told_is_struck_off(engine: Engine) -> None:
    """Everything up to an entry is removed, later entries stay. Tenants are separate."""
    for number in range(3):
        record(engine, quiz(number, number))
    record(engine, quiz(1, 8), tenant="u")
    assert engine.outbox.entries(["t", "u", "v"]) == {"t": 3, "u": 1}
    first, _, third = engine.outbox.read(["t"], 10)["t"]
    assert engine.outbox.read(["t"], 1)["t"] == [first]
    engine.outbox.acknowledge("t", first.entry_id)
    assert engine.outbox.entries(["t", "u"]) == {"t": 2, "u": 1}
    engine.outbox.acknowledge("t", third.entry_id)
    assert engine.outbox.entries(["t", "u"]) == {"u": 1}
    assert engine.outbox.read(["t"], 10) == {}


def test_a_score_that_was_not_kept_changes_nothing(engine: Engine) -> None:
    """It was too late: a newer revision has a score already."""
    record(engine, quiz(1, 8))
    record(engine, quiz(2, 4))
    engine.mastery.scores.put("t", [Score("s-1", revision=1, day=TODAY, mastery=0.9)], NOW + timedelta(seconds=1))
    assert engine.outbox.entries(["t"]) == {"t": 2}


def record_many(engine: Engine, number: int, students: Iterable[str], tenant: str = "t") -> None:
    """One entry with a change of each student."""
    observation = quiz(number, number % 11)
    merged = engine.mastery.facts.merge(tenant, {student: [observation] for student in students}, TODAY)
    derive_scores(tenant, merged, stores=engine.mastery, now=NOW)


def waiting(engine: Engine, tenant: str = "t") -> list[OutboxEntry]:
    return engine.outbox.read([tenant], 10_000).get(tenant, [])


def without(entries: list[OutboxEntry], *students: str) -> list[OutboxEntry]:
    """The entries that an erasure should leave."""
    kept = [each._replace(changes=[change for change in each.changes if change.student_id not in students]) for each in entries]
    return [each for each in kept if each.changes or each.erasures]


def test_an_erasure_removes_the_changes_of_its_students_only(engine: Engine) -> None:
    """The others keep their ids, moments and order; the same tenant's later entries follow; other tenants keep theirs."""
    record_many(engine, 1, ["s-1", "s-2", "s-3"])
    record_many(engine, 2, ["s-2", "s-3"])
    record_many(engine, 3, ["s-1"])
    record_many(engine, 4, ["s-3", "s-4"])
    record_many(engine, 1, ["s-1"], tenant="u")
    before, others = waiting(engine), waiting(engine, "u")
    assert engine.outbox.erase("t", ["s-1"]) == Erased(2)
    assert waiting(engine) == without(before, "s-1")
    assert engine.outbox.entries(["t", "u"]) == {"t": 3, "u": 1}
    record_many(engine, 5, ["s-2"])
    before = waiting(engine)
    assert len(before) == 4
    assert engine.outbox.erase("t", ["s-2", "s-4", "s-5"]) == Erased(4)
    assert waiting(engine) == without(before, "s-2", "s-4")
    assert engine.outbox.erase("t", ["s-1", "s-2", "s-4"]) == Erased(0)
    assert engine.outbox.erase("nobody", ["s-1"]) == Erased(0)
    assert waiting(engine, "u") == others


def test_a_long_backlog_is_erased_in_one_pass(engine: Engine) -> None:
    """It has several pages; entries are read and acknowledged across the part that the erasure moved and the newer one."""
    students = [f"s-{number}" for number in range(7)]
    for number in range(2 * PAGE + 50):
        record_many(engine, number, [students[number % 7], students[number % 5]])
    before = waiting(engine)
    erased = engine.outbox.erase("t", ["s-1", "s-6"])
    left = without(before, "s-1", "s-6")
    assert erased.count == sum(len(each.changes) for each in before) - sum(len(each.changes) for each in left)
    assert waiting(engine) == left
    for number in range(2 * PAGE + 50, 2 * PAGE + 60):
        record_many(engine, number, ["s-2"])
    left = waiting(engine)
    read: list[OutboxEntry] = []
    while some := engine.outbox.read(["t"], 30).get("t"):
        assert len(some) <= 30
        read += some
        engine.outbox.acknowledge("t", some[-1].entry_id)
    assert read == left
    assert engine.outbox.entries(["t"]) == {}


def test_an_erased_student_is_in_no_dump(engine: Engine) -> None:
    """Not even with a change that was published: Redis keeps a deleted entry of a stream as long as one beside it is left."""
    record(engine, quiz(1, 8), student="s-erased")
    record(engine, quiz(1, 8), student="s-2")
    record(engine, quiz(2, 4), student="s-erased")
    record(engine, quiz(3, 5), student="s-2")
    engine.outbox.acknowledge("t", waiting(engine)[0].entry_id)
    keys = Keys(engine.settings.key_prefix)
    compression = cast("dict[str, str]", engine.redis.config_get("rdbcompression"))
    engine.redis.config_set("rdbcompression", "no")

    def dumps() -> bytes:
        return b"".join(engine.redis.dump(key) or b"" for key in (keys.changes("t"), keys.older_changes("t")))

    try:
        assert dumps().count(b"s-erased") == 2
        engine.outbox.erase("t", ["s-erased"])
        assert dumps().count(b"s-erased") == 0
        assert dumps().count(b"s-2") == 2
    finally:
        engine.redis.config_set("rdbcompression", compression["rdbcompression"])


def test_an_announcement_follows_the_changes_and_stays(engine: Engine) -> None:
    """Erasures do not remove it, also not another one of the student; a repeat is the same announcement."""
    students = [f"s-{number}" for number in range(STUDENTS_PER_CALL + 1)]
    record_many(engine, 1, ["s-1", "s-2"])
    engine.outbox.announce_erased("t", students, NOW)
    record_many(engine, 2, ["s-2"])
    engine.outbox.announce_erased("t", ["s-1"], NOW)
    engine.outbox.erase("t", students[:2])
    engine.outbox.erase("t", students[:1])
    first, *announced, second, repeat = waiting(engine)
    assert [[change.student_id for change in each.changes] for each in (first, second)] == [["s-2"], ["s-2"]]
    erasures = [Erasure(student, microseconds(NOW)) for student in students]
    assert [each.erasures for each in announced] == [erasures[:STUDENTS_PER_CALL], erasures[STUDENTS_PER_CALL:]]
    assert repeat.erasures == [erasures[1]]
    assert {each.at for each in announced} == {NOW}


def test_erasures_at_the_same_time_edit_the_same_entries(engine: Engine) -> None:
    """One that was overtaken by another looks at the entry again."""
    students = [f"s-{number}" for number in range(8)]
    for number in range(PAGE):
        record_many(engine, number, [*students, "s-kept"])
    before = waiting(engine)
    with ThreadPoolExecutor(len(students)) as threads:
        erased = list(threads.map(lambda student: engine.outbox.erase("t", [student]), students))
    assert waiting(engine) == without(before, *students)
    assert sum(each.count for each in erased) == sum(len(each.changes) - 1 for each in before)
