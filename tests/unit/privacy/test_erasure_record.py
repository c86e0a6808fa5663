"""The records of erasures in Kafka."""

import json
from datetime import UTC, datetime

import pytest

from app.clock import microseconds
from app.privacy.erasure_record import ErasureRecord, decode_record, encode_record
from app.pseudonyms import WHOLE_TENANT

UNTIL = datetime(2026, 10, 28, 22, 54, 27, 250_001, tzinfo=UTC)
PSEUDONYM = "0123456789abcdef01234567"
VALUE = {"tenant_id": "t-1", "pseudonym": PSEUDONYM, "erased_until": "2026-10-28T22:54:27.250001Z"}


@pytest.mark.parametrize("pseudonym", [PSEUDONYM, WHOLE_TENANT])
def test_a_record_says_who_and_until_when(pseudonym: str) -> None:
    """To the microsecond. Without the student's id."""
    value = encode_record("t-1", pseudonym, microseconds(UNTIL))
    assert json.loads(value) == VALUE | {"pseudonym": pseudonym}
    assert decode_record(value) == ErasureRecord(tenant_id="t-1", pseudonym=pseudonym, erased_until=UNTIL)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        json.dumps(VALUE | {"pseudonym": "s-1"}).encode(),
        json.dumps(VALUE | {"pseudonym": PSEUDONYM + "\n"}).encode(),
        json.dumps(VALUE | {"tenant_id": "t}1"}).encode(),
        json.dumps(VALUE | {"erased_until": "2026-10-28T22:54:27"}).encode(),
    ],
)
def test_what_is_no_record(value: bytes) -> None:
    """Others may be able to write to the topic."""
    assert decode_record(value) is None
