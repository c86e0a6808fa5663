"""A dead letter: a permanently failed event, with the data to diagnose and replay it. Source: design section 4."""

from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

import msgspec

from app.errors import InvalidInput
from app.events.chunk import SourceRecord

# A dead letter must fit into a Kafka message (1 MB). Bytes that are not UTF-8 take up to six characters each.
MAX_PAYLOAD_BYTES = 150_000
MAX_TEXT = 200  # of the id and type that an event claims
MAX_MESSAGE = 1_000  # enough for errors in all fields of an event
# tenant_id/student_id has up to 101 bytes; a longer key is not valid, and might not fit into a message with the letter.
MAX_KEY_BYTES = 200

# The headers of a dead letter. REPLAYS and TRACE are copied from the source record, and back on replay.
TOPIC, PARTITION, OFFSET, ERROR_TYPE, LETTER_ID = "dlq.topic", "dlq.partition", "dlq.offset", "dlq.error_type", "dlq.id"
REPLAYS, TRACE = "dlq.replay_count", "traceparent"


class ErrorType(StrEnum):
    """Why an event was dead-lettered. ``DEPENDENCY`` is reserved for other producers, since the engine retries outages."""

    VALIDATION = "validation_error"
    PROCESSING = "processing_error"
    TIMEOUT = "timeout_error"
    DEPENDENCY = "dependency_error"


class DeadLetter(msgspec.Struct, frozen=True):
    """The value on ``mastery.dlq``. ``original_payload`` is the payload's JSON value, or its text if it is not JSON.

    A payload that is too large is truncated, with a note at its end; the headers name the complete source record.
    """

    event_id: str | None
    original_event_type: str | None
    original_payload: object
    error_type: ErrorType
    error_message: str
    failed_at: datetime
    retry_count: int


class OutgoingDeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A dead letter to be delivered: Kafka key, value and headers. Stored in Redis until it is delivered."""

    error_type: ErrorType
    key: bytes | None
    value: bytes
    headers: list[tuple[str, str]]


def invalid_event(value: bytes | None, error: InvalidInput, failed_at: datetime) -> DeadLetter:
    """The dead letter of a record that is not a valid event."""
    return _dead_letter(value, ErrorType.VALIDATION, str(error), failed_at, retry_count=0)


def failed_event(value: bytes, error_type: ErrorType, message: str, failed_at: datetime, retry_count: int) -> DeadLetter:
    """The dead letter of a valid event that could not be recorded, after all retries."""
    return _dead_letter(value, error_type, message, failed_at, retry_count)


def address(letter: DeadLetter, topic: str, record: SourceRecord, key: bytes | None) -> OutgoingDeadLetter:
    """Add the Kafka key and the headers that locate the source record."""
    headers = [
        (TOPIC, topic),
        (PARTITION, str(record.partition)),
        (OFFSET, str(record.offset)),
        (ERROR_TYPE, letter.error_type.value),
        (REPLAYS, str(record.replays)),
        (LETTER_ID, _letter_id(topic, record)),
    ]
    if record.traceparent:
        headers.append((TRACE, record.traceparent))
    return OutgoingDeadLetter(letter.error_type, key[:MAX_KEY_BYTES] if key else key, msgspec.json.encode(letter), headers)


def _letter_id(topic: str, record: SourceRecord) -> str:
    """An id derived from the source record; it identifies a letter that was delivered before."""
    place = f"{topic}/{record.partition}/{record.offset}/".encode()
    return blake2b(place + record.value, digest_size=16).hexdigest()


def _dead_letter(value: bytes | None, error_type: ErrorType, message: str, failed_at: datetime, retry_count: int) -> DeadLetter:
    payload = _payload(value)
    fields = payload if isinstance(payload, dict) else {}
    return DeadLetter(
        event_id=_text(fields.get("event_id")),
        original_event_type=_text(fields.get("event_type")),
        original_payload=payload,
        error_type=error_type,
        error_message=message[:MAX_MESSAGE],
        failed_at=failed_at,
        retry_count=retry_count,
    )


def _payload(value: bytes | None) -> object:
    if value is None:
        return None
    if len(value) > MAX_PAYLOAD_BYTES:
        return f"{value[:MAX_PAYLOAD_BYTES].decode('utf-8', errors='backslashreplace')}… ({len(value)} bytes in all)"
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Invalid UTF-8 stays recoverable: the byte 0xff becomes the text \xff.
        return value.decode("utf-8", errors="backslashreplace")


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else None
