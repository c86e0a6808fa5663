"""What each store gives to the export of a student."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec import structs

from app.batches.batch import Batch, BatchKey, Item, Kind
from app.batches.batch_export import COLUMNS
from app.batches.batch_kinds import KINDS
from app.bootstrap import Engine
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.mastery.evidence import ACTIVITY, COMPLETION, QUALITY, QUIZ
from app.mastery.formula import Components
from app.purposes import Purpose
from app.storage.exported import ExportedRow
from tests.conftest import NOW
from tests.contracts.batch_erasures import ORDER, create, finish, forget_facts, record, run
from tests.contracts.conftest import TODAY, merge, observation

OF_PREDICTIONS = set(KINDS[Kind.PREDICTION].columns) - set(KINDS[Kind.MASTERY].columns)
NO_COMPLETION = dict.fromkeys(("completed_exercises", "total_exercises", "completion_at", "completion_event_id"))


def rows(engine: Engine, kind: str, student: str = "s-1", tenant: str = "t") -> list[ExportedRow]:
    exported = engine.exported_data[kind](tenant, student)
    found = list(exported.rows())
    assert all(list(row) == list(exported.columns) for row in found)
    return found


class TestFacts:
    """The days and the standing."""

    def test_each_day_has_its_sums(self, engine: Engine) -> None:
        """Oldest first; with the latest completion of the day, its time and its event."""
        merge(
            engine,
            observation(1, TODAY, QUIZ, 7, 10),
            observation(2, TODAY, QUALITY, 650_000, 1),
            observation(3, TODAY - 1, COMPLETION, 3, 8),
            observation(4, TODAY - 1, COMPLETION, 4, 8),
            observation(5, TODAY - 1, ACTIVITY),
        )
        nothing = {"correct_answers": 0, "questions": 0, "quality_millionths": 0, "submissions": 0, "active": False}
        first, second = rows(engine, "days")
        assert first == nothing | {
            "day": "2026-10-27",
            "active": True,
            "completed_exercises": 4,
            "total_exercises": 8,
            "completion_at": "2026-10-27T00:00:00.000004Z",
            "completion_event_id": str(UUID(int=4)),
        }
        of_today = {"correct_answers": 7, "questions": 10, "quality_millionths": 650_000, "submissions": 1}
        assert second == nothing | NO_COMPLETION | of_today | {"day": "2026-10-28"}

    def test_the_standing_has_cohort_score_and_number_of_events(self, engine: Engine) -> None:
        """In the cohort whose ranking has the student."""
        merge(engine, observation(1, TODAY - 1, QUIZ, 6, 10), observation(2, TODAY, QUIZ, 8, 10))
        assert rows(engine, "standing") == [
            {
                "cohort_id": "c-1",
                "cohort_at": "2026-10-28T00:00:00.000002Z",
                "cohort_event_id": str(UUID(int=2)),
                "mastery": 0.21,
                "mastery_day": "2026-10-28",
                "ranked_cohort_id": "c-1",
                "in_statistics": True,
                "counted_events": 2,
                "revision": 1,
            }
        ]
        assert engine.mastery.scores.ranking("t", "c-1") == [("s-1", 0.21)]

    def test_without_a_cohort_and_without_a_score(self, engine: Engine) -> None:
        """The fields are empty."""
        engine.mastery.facts.merge("t", {"s-1": [observation(1, TODAY, QUIZ, 6, 10, cohort="")]}, TODAY)
        (row,) = rows(engine, "standing")
        assert {name for name, value in row.items() if value is not None} == {"counted_events", "in_statistics", "revision"}

    def test_a_student_who_returned_after_an_erasure(self, engine: Engine) -> None:
        """Has no score until it is computed anew."""
        merge(engine, observation(1, TODAY, QUIZ, 6, 10))
        forget_facts(engine, "s-1")
        assert rows(engine, "standing") == rows(engine, "days") == []
        seconds, _ = engine.redis.time()
        later = seconds // 86_400 + 1
        engine.mastery.facts.merge("t", {"s-1": [observation(2, later, QUIZ, 6, 10)]}, later)
        (row,) = rows(engine, "standing")
        assert (row["mastery"], row["mastery_day"], row["counted_events"]) == (None, None, 1)

    def test_of_nobody_else(self, engine: Engine) -> None:
        """Neither of a student whose id begins alike, nor of a tenant."""
        merge(engine, observation(1, TODAY, QUIZ, 6, 10), student="s-10")
        assert rows(engine, "days") == rows(engine, "days", "s-10", "u") == rows(engine, "standing") == []


class TestConsent:
    """The decisions."""

    def test_who_decided_is_a_role(self, engine: Engine) -> None:
        """The oldest is first; an admin's name is not in it."""
        for given, author, now in ((False, Author("admin", "ada"), NOW), (True, Author("student", "f00"), NOW + timedelta(1))):
            change_consent("t", "s-1", {Purpose.PREDICTIONS: given}, author, consents=engine.consents, now=now)
        assert rows(engine, "consent") == [
            {"purpose": "predictions", "given": False, "at": "2026-10-28T12:00:00Z", "role": "admin"},
            {"purpose": "predictions", "given": True, "at": "2026-10-29T12:00:00Z", "role": "student"},
        ]
        assert rows(engine, "consent", "s-2") == rows(engine, "consent", tenant="u") == []


class TestBatches:
    """The results."""

    @pytest.fixture
    def batch(self, engine: Engine) -> Batch:
        """Of 600 students, in three chunks."""
        create(engine, record(engine, *(f"s-{number}" for number in range(600))))
        return finish(engine)

    def test_a_result_is_that_of_the_student(self, engine: Engine, batch: Batch) -> None:
        """Wherever the batch has it. Who asked is a role."""
        assert rows(engine, "batch_results", "s-507") == [
            {
                "created_at": batch.created.isoformat().replace("+00:00", "Z"),
                "compute": "mastery",
                "asked_by": "admin",
                "components_given": False,
                "error": None,
                "score": 0.21,
                "level": "beginner",
                "coverage": 0.3,
                "completion": None,
                "quiz": 0.7,
                "quality": None,
                "consistency": None,
                "cohort_id": "c-1",
                "trend": "stable",
                "historical_average": 0.21,
                "date": "2026-10-28",
                **dict.fromkeys(OF_PREDICTIONS),
            }
        ]
        assert "a-1" not in str(rows(engine, "batch_results", "s-507"))

    @pytest.mark.parametrize(("student", "tenant"), [("s-600", "t"), ("s-5", "u"), ("s-50", "t*"), ("5", "t")])
    def test_of_nobody_else(self, engine: Engine, batch: Batch, student: str, tenant: str) -> None:
        """Nor of another tenant whose name is a pattern."""
        assert batch.succeeded == 600
        assert rows(engine, "batch_results", student, tenant) == []

    def test_given_components_and_failures(self, engine: Engine) -> None:
        """Are told as such, from all batches of the student."""
        create(engine, [Item("s-1", Components(quiz=0.5)), Item("s-2")])
        other = BatchKey("t", "b-2")
        create(engine, [Item("s-1")], other, structs.replace(ORDER, owner="teacher:chen"))
        finish(engine)
        finish(engine, other)
        found = [
            tuple(row[name] for name in ("asked_by", "components_given", "error", "score", "quiz", "trend"))
            for row in rows(engine, "batch_results")
        ]
        assert found == [
            ("admin", True, None, 0.15, 0.5, None),
            ("teacher", False, "no evidence of such a student", None, None, None),
        ]

    def test_a_running_batch_gives_what_it_has(self, engine: Engine) -> None:
        """Its first chunk is computed, the second one is not."""
        create(engine, record(engine, *(f"s-{number}" for number in range(500))))
        run(engine)
        assert [len(rows(engine, "batch_results", student)) for student in ("s-249", "s-250")] == [1, 0]

    def test_a_batch_without_known_students_and_one_that_was_deleted(self, engine: Engine, batch: Batch) -> None:
        """Have no results."""
        create(engine, None, BatchKey("t", "b-2"))
        assert len(rows(engine, "batch_results")) == 1
        engine.batches.delete(BatchKey("t", batch.batch_id), NOW)
        assert rows(engine, "batch_results") == []

    def test_an_erased_student(self, engine: Engine, batch: Batch) -> None:
        """Has no results any more."""
        assert batch.succeeded == 600
        engine.batch_erasure.erase("t", ["s-1"])
        assert rows(engine, "batch_results") == []
        assert len(rows(engine, "batch_results", "s-2")) == 1


def test_the_results_of_every_kind_of_batch_are_exported() -> None:
    """A new kind has to explain its columns."""
    assert {column for kind in KINDS.values() for column in kind.columns} - {"student_id"} <= COLUMNS.keys()
