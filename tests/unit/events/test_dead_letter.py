"""A dead letter has what is needed to understand and replay an event."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from app.errors import InvalidInput
from app.events.chunk import SourceRecord
from app.events.dead_letter import ErrorType, address, failed_event, invalid_event
from tests.learning_events import quiz

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)
ERROR = InvalidInput("data.total_questions", "Expected `int` >= 1")


def test_it_carries_the_payload_and_the_reason() -> None:
    """The value is that of design section 4, as JSON."""
    event = quiz(total_questions=0)
    letter = invalid_event(json.dumps(event).encode(), ERROR, NOW)
    assert json.loads(msgspec.json.encode(letter)) == {
        "event_id": event["event_id"],
        "original_event_type": "quiz.performance.submitted",
        "original_payload": event,
        "error_type": "validation_error",
        "error_message": "data.total_questions: Expected `int` >= 1",
        "failed_at": "2026-10-28T12:00:00Z",
        "retry_count": 0,
    }


def test_what_is_not_json_is_kept_as_text() -> None:
    """Bytes that are not UTF-8 can be recovered."""
    letter = invalid_event(b"\xffoops", ERROR, NOW)
    assert (letter.event_id, letter.original_event_type, letter.original_payload) == (None, None, "\\xffoops")
    assert letter.error_type is ErrorType.VALIDATION


def test_ids_that_are_no_text_are_left_to_the_payload() -> None:
    """A number instead of an id stays in the payload, and is not used as the id."""
    letter = invalid_event(b'{"event_id": 7, "event_type": null}', ERROR, NOW)
    assert (letter.event_id, letter.original_event_type, letter.original_payload) == (
        None,
        None,
        {"event_id": 7, "event_type": None},
    )


@pytest.mark.parametrize("value", [b"\xff" * 1_000_000, b"x" * 1_000_000, json.dumps({"a": "\u0001" * 150_000}).encode()])
def test_it_always_fits_into_a_message(value: bytes) -> None:
    """Otherwise the largest records could not be dead-lettered, and would block those behind them."""
    letter = invalid_event(value, ERROR, NOW)
    assert len(msgspec.json.encode(letter)) < 1_000_000
    assert str(letter.original_payload).endswith(f"… ({len(value)} bytes in all)")


def test_a_record_without_a_value_has_a_dead_letter_too() -> None:
    """A tombstone on the topic is not an event."""
    assert invalid_event(None, ERROR, NOW).original_payload is None


def test_its_headers_name_the_source_record() -> None:
    """They also have its replay count and trace."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    letter = invalid_event(b"{}", ERROR, NOW)
    addressed = address(letter, "mastery.events", SourceRecord(3, 17, b"{}", replays=2, traceparent=trace), b"k" * 300)
    assert dict(addressed.headers) == {
        "dlq.topic": "mastery.events",
        "dlq.partition": "3",
        "dlq.offset": "17",
        "dlq.error_type": "validation_error",
        "dlq.replay_count": "2",
        "dlq.id": dict(addressed.headers)["dlq.id"],
        "traceparent": trace,
    }
    assert addressed.key == b"k" * 200
    assert addressed.value == msgspec.json.encode(letter)
    assert "traceparent" not in dict(address(letter, "mastery.events", SourceRecord(3, 17, b""), None).headers)


def test_a_valid_event_that_failed_says_how_often_it_was_tried() -> None:
    """The reason is unchanged."""
    letter = failed_event(json.dumps(quiz()).encode(), ErrorType.PROCESSING, "ValueError", NOW, 3)
    assert (letter.error_type, letter.error_message, letter.retry_count) == (ErrorType.PROCESSING, "ValueError", 3)


def test_its_id_is_that_of_its_source_record() -> None:
    """The dead letter of a record has the same id each time; that of another record differs."""

    def letter_id(offset: int, value: bytes, at: datetime = NOW) -> str:
        record = SourceRecord(3, offset, value)
        return dict(address(invalid_event(value, ERROR, at), "mastery.events", record, None).headers)["dlq.id"]

    assert letter_id(17, b"{}") == letter_id(17, b"{}", datetime.now(UTC))
    assert len({letter_id(17, b"{}"), letter_id(18, b"{}"), letter_id(17, b"{")}) == 3
