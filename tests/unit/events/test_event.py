"""Which records are valid events."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.errors import InvalidInput
from app.events.event import QuizEvent, decode_event
from tests.learning_events import activity, completion, quality, quiz

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)


def decode(event: dict[str, Any]) -> datetime:
    return decode_event(json.dumps(event).encode(), NOW)[1]


@pytest.mark.parametrize("event", [activity(), completion(), quality(), quality(peer_review_score=0.5), quiz()])
def test_each_type_of_event_is_taken(event: dict[str, Any]) -> None:
    """All four types of the contract are decoded."""
    decoded, moment = decode_event(json.dumps(event).encode(), NOW)
    assert decoded.student_id == event["student_id"]
    assert moment == datetime.fromisoformat(event["timestamp"])


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-10-27T22:54:26Z",
        "2026-10-28T00:54:26+02:00",
        "2026-10-27T17:24:26-05:30",
        "2026-10-27T22:54:26.000+00:00",
        "20261027T225426Z",
        "2026-W44-2T22:54:26Z",
        "2026-10-27t22:54:26z",
        "2026-10-27 22:54:26,000Z",
        "2026-10-28T00:54:26.000000000+02",
        1793141666000,
        1793141666000.0,
    ],
)
def test_a_moment_may_be_written_in_many_ways(timestamp: str | int) -> None:
    """ISO 8601 with any offset, or epoch milliseconds, give the same time in UTC."""
    assert decode(activity(timestamp=timestamp)) == datetime(2026, 10, 27, 22, 54, 26, tzinfo=UTC)


def test_epoch_seconds_are_refused_and_why_is_said() -> None:
    """As milliseconds they would be a day in 1970, and expire silently."""
    with pytest.raises(InvalidInput, match="must be epoch milliseconds; this is before 1973, or in seconds"):
        decode(activity(timestamp=1793141666))


def test_a_leap_second_stays_on_its_day() -> None:
    """RFC 3339 allows 23:59:60 in any time zone; it counts as the second before."""
    expected = datetime(2026, 10, 27, 23, 59, 59, 500_000, tzinfo=UTC)
    assert decode(activity(timestamp="2026-10-27T23:59:60.5Z")) == expected
    assert decode(activity(timestamp="2026-10-28T05:29:60.5+05:30")) == expected


def test_a_whole_number_may_have_a_point() -> None:
    """JSON Schema, and so docs/asyncapi.json, accepts 8.0 as an integer."""
    decoded, _ = decode_event(json.dumps(quiz(total_questions=10.0, correct_answers=8e0)).encode(), NOW)
    assert isinstance(decoded, QuizEvent)
    assert repr(decoded.data) == "QuizPerformance(quiz_id='q-1', total_questions=10, correct_answers=8)"


@pytest.mark.parametrize(
    "field", [rb'"\ud83d"', rb'{"\ud83d": 1}', rb'"a\udc00\ud83dz"', b"1e400", b"9" * 5_000, b'"\xff"', b"[" * 98 + b"]" * 98]
)
def test_ignored_fields_do_not_matter(field: bytes) -> None:
    """Half an emoji or a huge number in an ignored field does not make an event invalid."""
    value = json.dumps(quiz()).encode()[:-1] + b', "note": ' + field + b"}"
    assert decode_event(value, NOW)[0].student_id == "s-1"


@pytest.mark.parametrize(
    ("text", "expected"), [(r"\ud83d", "\ufffd"), (r"\ud83d\ude00", "\U0001f600"), (r"\\ud83d", r"\ud83d")]
)
def test_half_a_surrogate_pair_is_replaced(text: str, expected: str) -> None:
    """Pairs and escaped backslashes are decoded correctly, also next to a lone surrogate."""
    value = json.dumps(activity(source="TEXT", mood="HALF")).replace("TEXT", text).replace("HALF", r"\udc00")
    assert decode_event(value.encode(), NOW)[0].source == expected


def test_fields_beyond_the_contract_are_ignored() -> None:
    """A producer may add fields to the envelope and the data without breaking consumers."""
    event = quiz(time_spent=12, mood="good")
    decode({**event, "trace": {"deep": [1, 2]}, "version": "1.1"})


def test_five_minutes_ahead_is_the_most() -> None:
    """A producer's clock may be a little fast."""
    soon = NOW + timedelta(minutes=5)
    assert decode(activity(timestamp=soon.isoformat())) == soon


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (activity(event_id="not-a-uuid"), "event_id"),
        (activity(event_type="quiz.unknown"), "event_type"),
        (activity(student_id="a/b"), "student_id"),
        (activity(student_id="a\n"), "student_id"),
        (activity(student_id=""), "student_id"),
        (activity(student_id="x" * 51), "student_id"),
        (activity(student_id=7), "student_id"),
        (activity(tenant_id="../etc"), "tenant_id"),
        (activity(cohort_id="é"), "cohort_id"),
        (activity(source="s" * 51), "source"),
        (activity(source="quiz\n"), "source"),
        (activity(source="quiz\x00"), "source"),
        (activity(version="\x1b[31m1.0"), "version"),
        (activity(version="1.0\x85"), "version"),
        (activity(timestamp="2026-10-27T22:54:26"), "timestamp"),
        (activity(timestamp="2026-10-27"), "timestamp"),
        (activity(timestamp="yesterday"), "timestamp"),
        (activity(timestamp=1.5), "timestamp"),
        (activity(timestamp=True), "timestamp"),
        (activity(timestamp=10**30), "timestamp"),
        (activity(timestamp=1793141666), "timestamp"),
        (activity(timestamp="2026-10-27T22:54:26Z\x00<script>"), "timestamp"),
        (activity(timestamp="2026-10-27\x0022:54:26Z"), "timestamp"),
        (activity(timestamp="2026-10-27T22:59:60Z"), "timestamp"),
        (activity(timestamp="2026-10-27T24:00:00Z"), "timestamp"),
        (activity(timestamp="2026-10-27T22:54:26٠Z"), "timestamp"),
        (activity(timestamp=-(10**18)), "timestamp"),
        (activity(timestamp="9999-12-31T23:59:59-23:59"), "timestamp"),
        (activity(timestamp="2026-10-28T12:05:01Z"), "timestamp"),
        (quiz(total_questions=0), "data.total_questions"),
        (quiz(total_questions=1_000_001), "data.total_questions"),
        (quiz(total_questions="10"), "data.total_questions"),
        (quiz(correct_answers=-1), "data.correct_answers"),
        (quiz(correct_answers=11), "data"),
        (quiz(correct_answers=True), "data.correct_answers"),
        (quiz(quiz_id=None), "data.quiz_id"),
        (completion(completed_exercises=6), "data"),
        (quality(code_quality_score=1.01), "data.code_quality_score"),
        (quality(efficiency_score=-0.01), "data.efficiency_score"),
        (quality(peer_review_score="0.5"), "data.peer_review_score"),
    ],
)
def test_what_breaks_the_contract_is_refused_by_field(event: dict[str, Any], field: str) -> None:
    """The error names the field, so that the producer can be fixed."""
    with pytest.raises(InvalidInput) as refused:
        decode(event)
    assert refused.value.field == field


def test_everything_that_is_wrong_is_told() -> None:
    """A producer sees all errors of an event at once."""
    event = quiz(student_id="a/b", timestamp="soon", total_questions=8.5, correct_answers=-1)
    del event["event_id"], event["data"]["quiz_id"]
    with pytest.raises(InvalidInput) as refused:
        decode(event)
    assert [each.field for each in refused.value.errors] == [
        "event_id",
        "timestamp",
        "student_id",
        "data.quiz_id",
        "data.total_questions",
        "data.correct_answers",
    ]
    assert "event_id: is missing; timestamp: must be ISO 8601" in str(refused.value)


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """Errors of the common fields are reported too."""
    with pytest.raises(InvalidInput) as refused:
        decode(activity(event_type="quiz.unknown", tenant_id="../etc"))
    assert [str(each) for each in refused.value.errors] == [
        (
            "event_type: must be one of exercise.completion.submitted, quiz.performance.submitted, "
            "quality.assessment.completed, consistency.activity.recorded"
        ),
        "tenant_id: must be 1 to 50 letters, digits, _ or -",
    ]


def test_nesting_beyond_a_hundred_levels_is_refused() -> None:
    """No decoder may fail where another does not, whatever its stack depth; brackets in strings do not count."""
    decode(activity(note="[{" * 1_000))
    with pytest.raises(InvalidInput, match="nested deeper than 100 levels"):
        decode_event(json.dumps(activity()).encode()[:-1] + b', "note": ' + b"[" * 100 + b"]" * 100 + b"}", NOW)


def test_a_missing_field_is_named() -> None:
    """A missing field is an error with its name."""
    event = quiz()
    del event["data"]["total_questions"]
    with pytest.raises(InvalidInput, match="total_questions"):
        decode(event)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"null",
        b"[]",
        b'"event"',
        b"\xff\xfe",
        b'{"event_type": "\xff"}',
        b"[" * 100_000,
        b'{"event_type":"consistency.activity.recorded","data":' + b"[" * 100_000,
        json.dumps(quiz(total_questions=float("nan"))).encode(),
        json.dumps(quality(correctness_score=float("inf"))).encode(),
    ],
)
def test_what_is_not_json_in_utf8_is_refused(value: bytes | None) -> None:
    """No input makes the decoder fail in another way."""
    with pytest.raises(InvalidInput):
        decode_event(value, NOW)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (activity(student_id="a/b"), "student_id: must be 1 to 50 letters, digits, _ or -"),
        (quiz(quiz_id=""), "data.quiz_id: must be 1 to 50 letters, digits, _ or -"),
        (activity(source="a\nb"), "source: must not have control characters"),
    ],
)
def test_patterns_are_told_in_words(event: dict[str, Any], reason: str) -> None:
    """A producer's log is read by people, so errors describe patterns in words."""
    with pytest.raises(InvalidInput) as refused:
        decode(event)
    assert str(refused.value) == reason


def test_the_message_does_not_repeat_personal_data() -> None:
    """An invalid id may be a person's name, so it must not be in messages and logs."""
    with pytest.raises(InvalidInput) as refused:
        decode(activity(student_id="Ada Lovelace"))
    assert "Ada" not in str(refused.value)


@pytest.mark.parametrize("event", [activity(source="quiz-service", version="1"), completion(), quality(), quiz()])
@pytest.mark.parametrize("value", ["unmistakable!", {"unmistakable": 1}, ["unmistakable"], 987_654_321.5, "unmistakable" * 10])
def test_the_message_does_not_repeat_any_value(event: dict[str, Any], value: object) -> None:
    """Whatever field has it: the message becomes a part of a dead letter that is not encrypted."""
    spoiled = [event | {name: value} for name in event] + [
        event | {"data": event["data"] | {name: value}} for name in event["data"]
    ]
    messages = [message for each in spoiled if (message := refusal(each))]
    assert len(messages) > len(event) / 2
    assert not [message for message in messages if "unmistakable" in message or "987654321" in message]


def refusal(event: dict[str, Any]) -> str:
    """The reasons why an event is refused; "" if it is not."""
    try:
        decode(event)
    except InvalidInput as error:
        return str(error)
    return ""
