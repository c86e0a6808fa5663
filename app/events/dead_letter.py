"""A dead letter: an event that failed for good, with what is needed to understand and replay it. Source: design section 4."""

from datetime import datetime
from enum import StrEnum

import msgspec

from app.errors import InvalidInput

# A dead letter must fit into a Kafka message (1 MB). Bytes that are not UTF-8 take up to five characters each when written out.
MAX_PAYLOAD_BYTES = 150_000
MAX_TEXT = 200  # of what an event claims as its id or type, and of a message about it


class ErrorType(StrEnum):
    """Why an event was dead-lettered."""

    VALIDATION = "validation_error"
    PROCESSING = "processing_error"
    TIMEOUT = "timeout_error"
    DEPENDENCY = "dependency_error"


class DeadLetter(msgspec.Struct, frozen=True):
    """The value on ``mastery.dlq``. ``original_payload`` is the JSON value where it is one, else its text.

    A payload that does not fit is cut, and ends by saying so; the source record, which the headers name, has all of it.
    """

    event_id: str | None
    original_event_type: str | None
    original_payload: object
    error_type: ErrorType
    error_message: str
    failed_at: datetime
    retry_count: int


def invalid_event(value: bytes | None, error: InvalidInput, failed_at: datetime) -> DeadLetter:
    """The dead letter of a record that is not a valid event."""
    payload = _payload(value)
    fields = payload if isinstance(payload, dict) else {}
    return DeadLetter(
        event_id=_text(fields.get("event_id")),
        original_event_type=_text(fields.get("event_type")),
        original_payload=payload,
        error_type=ErrorType.VALIDATION,
        error_message=str(error)[:MAX_TEXT],
        failed_at=failed_at,
        retry_count=0,
    )


def _payload(value: bytes | None) -> object:
    if value is None:
        return None
    if len(value) > MAX_PAYLOAD_BYTES:
        return f"{value[:MAX_PAYLOAD_BYTES].decode('utf-8', errors='backslashreplace')}… ({len(value)} bytes in all)"
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Bytes that are not UTF-8 stay readable and recoverable: \xff is written as such.
        return value.decode("utf-8", errors="backslashreplace")


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else None
