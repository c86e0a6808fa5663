"""Dead letters for tests: failed records, and values as versions wrote them that did not encrypt payloads."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.events.chunk import SourceRecord
from app.events.dead_letter import ErrorType, FailedRecord, OutgoingDeadLetter
from app.events.sealed_payload import original

FAILED_AT = datetime(2026, 10, 28, 12, tzinfo=UTC)


def failed_record(value: bytes | None, *, key: bytes | None = None, at: datetime = FAILED_AT, **of: Any) -> FailedRecord:
    """A record that failed; ``of`` has further fields of its SourceRecord."""
    record = SourceRecord(**{"partition": 3, "offset": 17, "value": value or b"", **of})
    return FailedRecord("mastery.events", record, key, value, ErrorType.VALIDATION, "data: is wrong", at)


def waiting_letter(number: int = 1) -> OutgoingDeadLetter:
    """A dead letter as the ledger takes it."""
    return OutgoingDeadLetter(ErrorType.VALIDATION, b"t-1/0123456789abcdef01234567", b"{}", [("dlq.id", str(number))])


def plain_payload(value: bytes | None) -> Any:
    """``original_payload`` of a value in a dead letter that is not encrypted."""
    return json.loads(msgspec.json.encode(original(None, value).payload))


def plain_letter(value: bytes | None, *, at: datetime = FAILED_AT, reason: ErrorType = ErrorType.PROCESSING) -> bytes:
    """The value of a dead letter that is not encrypted."""
    fields = msgspec.json.decode(value, type=dict[str, Any]) if value and value.startswith(b"{") else {}
    return msgspec.json.encode(
        {
            "event_id": fields.get("event_id"),
            "original_event_type": fields.get("event_type"),
            "original_payload": original(None, value).payload,
            "error_type": reason,
            "error_message": "went wrong",
            "failed_at": at,
            "retry_count": 3,
        }
    )
