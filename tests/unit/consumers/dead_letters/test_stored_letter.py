"""Records on the dead letter topic are parsed, or kept with the reason why they are unreadable; filters select them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from app.errors import InvalidInput
from app.events.dead_letter import ErrorType
from app.events.handled_letters import Place
from consumers.dead_letters.stored_letter import LetterFilter, Source, StoredDeadLetter, parse_moment, parse_place, read_letter
from tests.dead_letters import plain_letter
from tests.learning_events import quiz

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)
PLACE = Place(3, 17)
HEADERS: dict[str, bytes | None] = {
    "dlq.topic": b"mastery.events",
    "dlq.partition": b"1",
    "dlq.offset": b"42",
    "dlq.replay_count": b"2",
    "traceparent": b"00-1-2-01",
}


def letter(payload: Any, *, key: bytes | None = b"t-1/s-1", **of: Any) -> StoredDeadLetter:
    return read_letter(PLACE, key, plain_letter(msgspec.json.encode(payload), **of), HEADERS)


class TestReading:
    """A record on the topic, whoever wrote it."""

    def test_everything_that_the_contract_names_is_read(self) -> None:
        """Contents, tenant, source, replays and trace."""
        found = letter(quiz(tenant_id="t-7"))
        assert found.body is not None
        assert found.body.error_message == "went wrong"
        assert found[6:10] == ("t-7", 2, Source("mastery.events", 1, 42), b"00-1-2-01")
        assert str(found.source) == "mastery.events/1/42"

    def test_the_payload_stays_the_text_that_it_is(self) -> None:
        """Large numbers and the order of fields are preserved."""
        payload = b'{"b": 1.00000000000000000001, "a": 123456789012345678901234567890}'
        whole = plain_letter(b"{}").replace(b'"original_payload":{}', b'"original_payload": ' + payload)
        found = read_letter(PLACE, None, whole, {})
        assert found.body is not None
        assert payload == bytes(found.body.original_payload)

    @pytest.mark.parametrize(
        ("broken", "why"),
        [
            (None, "it has no value"),
            (b"", "it is not JSON in UTF-8"),
            (b"\xff", "it is not JSON in UTF-8"),
            (plain_letter(b"{}").replace(b'"original_payload":{}', b'"original_payload":"\xff"'), "it is not JSON in UTF-8"),
            (
                plain_letter(b"{}").replace(b'"original_payload":{}', b'"original_payload":' + b"[" * 100_000),
                "it is not JSON in UTF-8",
            ),
            (b"[]", "Expected `object`, got `array`"),
            (b"{}", "Object missing required field `event_id`"),
            (plain_letter(b"{}").replace(b"processing_error", b"s-1234"), "its error_type does not match the schema"),
            (plain_letter(b"{}").replace(b"12:00:00Z", b"12:00:00"), "its failed_at does not match the schema"),
        ],
    )
    def test_what_is_no_letter_is_kept_with_the_reason(self, broken: bytes | None, why: str) -> None:
        """The reason quotes nothing of the record, which may be personal data."""
        found = read_letter(PLACE, b"t-1/s-1", broken, {})
        assert (None, why, "t-1", broken) == (found.body, found.unreadable, found.tenant, found.value)

    @pytest.mark.parametrize(
        ("payload", "key", "tenant"),
        [
            ({"tenant_id": "t-7"}, b"t-1/s-1", "t-7"),
            ({"tenant_id": "no tenant"}, b"t-1/s-1", "t-1"),
            ({}, b"t-1/s-1", "t-1"),
            ("text", b"t-1/s-1", "t-1"),
            ({}, b"t-1", None),
            ({}, b"alice@example.com/1", None),
            ({}, b"\xff/1", None),
            ({}, b"", None),
            ({}, None, None),
        ],
    )
    def test_the_tenant_is_the_events_or_else_the_keys(self, payload: object, key: bytes | None, tenant: str | None) -> None:
        """It must look like a tenant, since it is displayed and must not be personal data."""
        assert tenant == letter(payload, key=key).tenant

    @pytest.mark.parametrize("junk", [None, b"", b"x", b"-1", b"1.5", "٣".encode(), b"9" * 5000, b"\xff"])
    def test_junk_in_headers_is_as_good_as_none(self, junk: bytes | None) -> None:
        """Such a record has no source, and counts as never replayed."""
        found = read_letter(PLACE, None, plain_letter(b"{}"), {**HEADERS, "dlq.offset": junk, "dlq.replay_count": junk})
        assert (found.source, found.replays) == (None, 0)


class TestFilter:
    """All given options must match."""

    @pytest.mark.parametrize(
        ("meant", "matches"),
        [
            (LetterFilter(), True),
            (LetterFilter(reason=ErrorType.PROCESSING), True),
            (LetterFilter(reason=ErrorType.VALIDATION), False),
            (LetterFilter(tenant="t-1"), True),
            (LetterFilter(tenant="t-2"), False),
            (LetterFilter(since=NOW), True),
            (LetterFilter(since=NOW + timedelta(seconds=1)), False),
            (LetterFilter(until=NOW + timedelta(seconds=1)), True),
            (LetterFilter(until=NOW), False),
            (LetterFilter(reason=ErrorType.PROCESSING, tenant="t-2"), False),
            (LetterFilter(places=frozenset({PLACE})), True),
            (LetterFilter(places=frozenset({Place(3, 18)})), False),
        ],
    )
    def test_a_letter_matches(self, meant: LetterFilter, matches: bool) -> None:
        """``since`` is inclusive, ``until`` is exclusive."""
        assert matches == meant.matches(letter(quiz()))

    def test_an_unreadable_letter_has_a_place_and_perhaps_a_tenant(self) -> None:
        """It has no reason and no time."""
        broken = read_letter(PLACE, b"t-1/s-1", b"", {})
        assert LetterFilter(tenant="t-1", places=frozenset({PLACE})).matches(broken)
        for meant in (LetterFilter(reason=ErrorType.VALIDATION), LetterFilter(since=NOW), LetterFilter(until=NOW)):
            assert not meant.matches(broken)


class TestWhatAnOperatorTypes:
    """Times and places."""

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("90s", NOW - timedelta(seconds=90)),
            ("15m", NOW - timedelta(minutes=15)),
            ("2h", NOW - timedelta(hours=2)),
            ("3d", NOW - timedelta(days=3)),
            ("1w", NOW - timedelta(weeks=1)),
            ("2026-10-27", datetime(2026, 10, 27, tzinfo=UTC)),
            ("2026-10-27T10:30", datetime(2026, 10, 27, 10, 30, tzinfo=UTC)),
            ("2026-10-27T10:30Z", datetime(2026, 10, 27, 10, 30, tzinfo=UTC)),
            ("2026-10-27T10:30+02:00", datetime(2026, 10, 27, 10, 30, tzinfo=timezone(timedelta(hours=2)))),
        ],
    )
    def test_a_moment(self, text: str, moment: datetime) -> None:
        """A duration before now, or ISO 8601; UTC without an offset."""
        assert moment == parse_moment("--since", text, NOW)

    @pytest.mark.parametrize(
        "text", ["", "2", "h", "-2h", "2 h", "1y", "9999999999d", "99999999w", "yesterday", "0001-01-01T00+14"]
    )
    def test_what_is_no_moment_is_refused(self, text: str) -> None:
        """The message names the option and its valid values."""
        with pytest.raises(InvalidInput, match="--since: must be ISO 8601"):
            parse_moment("--since", text, NOW)

    def test_a_place(self) -> None:
        """A place is read as it is displayed."""
        assert Place(3, 17) == parse_place("3:17")
        assert str(Place(3, 17)) == "3:17"

    @pytest.mark.parametrize("text", ["", "3", "3:", ":17", "3:-1", "3:17:1", "a:b", " 3:17", "٣:17", "3:" + "9" * 20])
    def test_what_is_no_place_is_refused(self, text: str) -> None:
        """The message has an example."""
        with pytest.raises(InvalidInput, match="such as 3:17"):
            parse_place(text)
