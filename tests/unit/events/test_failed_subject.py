"""What is read of a record that is not a valid event."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.events.failed_subject import Subject, subject_of
from tests.learning_events import quiz

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)
EVENT_ID = "9b2f7c5e-3d0f-4c55-8a39-6f6f0d0b8a11"
NOBODY = Subject(None, None, None, None, None)


def of(key: bytes | None = None, **changes: Any) -> Subject:
    return subject_of(key, json.dumps(quiz(**changes)).encode(), NOW)


def test_an_invalid_event_names_its_student() -> None:
    """Everything else of it is read too."""
    moment = datetime(2026, 10, 27, 9, tzinfo=UTC)
    assert of(event_id=EVENT_ID, total_questions=0) == Subject(EVENT_ID, "quiz.performance.submitted", "t-1", "s-1", moment)


@pytest.mark.parametrize("wrong", ["s-604916", 7, None, "", {"a": 1}])
def test_only_an_id_and_a_known_type_are_taken(wrong: object) -> None:
    """In their place there may be anything, such as a student's id."""
    found = of(event_id=wrong, event_type=wrong)
    assert (found.event_id, found.event_type) == (None, None)


@pytest.mark.parametrize("timestamp", ["yesterday", None, [], 7, "2999-01-01T00:00:00Z", "2026-10-27T09:00:00"])
def test_a_moment_is_that_of_a_valid_timestamp(timestamp: object) -> None:
    """One in the future is not, since it would be after any erasure."""
    assert of(timestamp=timestamp).moment is None


@pytest.mark.parametrize(
    ("changes", "key", "whose"),
    [
        ({}, b"t-9/s-9", ("t-1", "s-1")),
        ({"student_id": "no such name"}, b"t-9/s-9", ("t-9", "s-9")),
        ({"tenant_id": 7}, b"t-9/s-9", ("t-9", "s-9")),
        ({"student_id": "no such name"}, None, ("t-1", None)),
        ({"student_id": "no such name"}, b"t-9", ("t-1", None)),
        ({"student_id": None, "tenant_id": "a/b"}, b"t-9/s/9", (None, None)),
        ({"tenant_id": None}, b"\xff/1", (None, None)),
    ],
)
def test_the_key_tells_whose_it_is_if_the_event_does_not(
    changes: dict[str, Any], key: bytes | None, whose: tuple[str | None, str | None]
) -> None:
    """A student has a tenant; the event's own ids come first."""
    assert of(key, **changes)[2:4] == whose


@pytest.mark.parametrize(
    "value", [None, b"", b"\xff", b"[]", b'"s-1"', b"[" * 100_000, b'{"student_id": "\xff", "tenant_id": "t-1"', b'{"a": 1']
)
def test_a_record_may_be_anything(value: bytes | None) -> None:
    """Then only its key can tell whose it is."""
    assert subject_of(None, value, NOW) == NOBODY
    assert subject_of(b"t-1/s-1", value, NOW) == NOBODY._replace(tenant="t-1", student_id="s-1")
