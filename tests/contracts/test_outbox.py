"""Changes are stored for publishing in the step that stores the score, on every server."""

from datetime import timedelta

from app.bootstrap import Engine
from app.clock import day_number
from app.mastery.derive_scores import derive_scores
from app.mastery.evidence import QUIZ, Observation
from app.mastery.result_messages import Change
from app.mastery.score_store import Score
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
