"""How dead letters are displayed: no personal data in a row, and no terminal control characters."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from app.events.dead_letter import ErrorType
from app.events.handled_letters import Handled, Place
from cli.commands.dlq_output import Newest, everything, printable, row
from consumers.dead_letters.stored_letter import StoredDeadLetter, read_letter
from tests.dead_letters import plain_letter
from tests.learning_events import quiz

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)


def letter(offset: int, at: datetime = NOW) -> StoredDeadLetter:
    event = json.dumps(quiz(student_id="unmistakable")).encode()
    value = plain_letter(event, at=at, reason=ErrorType.TIMEOUT)
    return read_letter(Place(0, offset), b"t-1/unmistakable", value, {"dlq.replay_count": b"1"})


def test_a_row_says_what_failed_and_not_whose_it_was() -> None:
    """The time is in UTC; key and payload are not shown."""
    shown = msgspec.json.encode(row(letter(7), Handled.REPLAYED))
    assert json.loads(shown) == {
        "place": "0:7",
        "failed_at": "2026-10-28 12:00:00+00:00",
        "reason": "timeout_error",
        "tenant": "t-1",
        "event_type": "quiz.performance.submitted",
        "replays": 1,
        "handled": "replayed",
        "message": "went wrong",
        "erased": False,
    }


def test_the_newest_come_first_and_all_are_counted() -> None:
    """Unreadable records have no time, and come last."""
    newest = Newest(3)
    newest.add(read_letter(Place(0, 9), None, None, {}))
    for offset, hours in enumerate((2, 1, 3)):
        newest.add(letter(offset, NOW - timedelta(hours=hours)))
    assert (4, ["0:1", "0:0", "0:2"]) == (newest.count, [each.place for each in newest.rows()])
    last = Newest(5)
    last.add(read_letter(Place(0, 9), None, None, {}))
    last.add(letter(1))
    assert [each.place for each in last.rows()] == ["0:1", "0:9"]


def test_everything_is_json_again() -> None:
    """The JSON has the unchanged payload, and what Kafka stores beside it."""
    shown = json.loads(everything(letter(7), None))
    assert (shown["place"], shown["key"], shown["replays"], shown["handled"]) == ("0:7", "t-1/unmistakable", 1, None)
    assert shown["letter"]["original_payload"]["student_id"] == "unmistakable"


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", b"[" * 100_000])
def test_everything_of_what_is_no_letter(value: bytes | None) -> None:
    """For an unreadable record: the reason and its bytes, with those that are not UTF-8 escaped."""
    shown = json.loads(everything(read_letter(Place(0, 7), b"\xfe", value, {"x": b"\xfd", "y": None}), None))
    assert shown["unreadable"]
    assert (shown["key"], shown["headers"]) == ("\\xfe", {"x": "\\xfd", "y": None})
    assert shown["value"] == (None if value is None else value.decode(errors="backslashreplace"))


@pytest.mark.parametrize("depth", range(980, 1000))
def test_everything_of_a_payload_that_is_nested_as_deeply_as_can_be(depth: int) -> None:
    """Such a payload is shown, perhaps on one line, or is unreadable; displaying it never fails."""
    value = letter(7).value or b""
    start, end = value.index(b'{"event_id"', 1), value.index(b',"error_type"')
    deep = value[:start] + b"[" * depth + b"]" * depth + value[end:]
    assert "0:7" in everything(read_letter(Place(0, 7), None, deep, {}), None)


def test_what_steers_a_terminal_is_written_out() -> None:
    """Control characters are escaped as in JSON; line breaks and indentation stay."""
    assert printable("Zoë 学生 \u001b[2J \u009b \u202e \n") == "Zoë 学生 \\u001b[2J \\u009b \\u202e \\n"
