"""A sealed payload has the whole record, and gives it only to whoever has its key."""

import json
from datetime import date
from typing import Any

import msgspec
import pytest
from cryptography.fernet import Fernet

from app.events.sealed_payload import (
    MAX_PAYLOAD_BYTES,
    Lock,
    Original,
    SealedPayload,
    StudentKeyName,
    new_key,
    original,
    seal,
    unseal,
)

KEY = new_key()
STUDENT = StudentKeyName("t-1", "0123456789abcdef01234567")
DAY = date(2026, 10, 28)


def shown(value: bytes | None) -> Any:
    """What an operator sees of a record's value."""
    return json.loads(msgspec.json.encode(original(None, value).payload))


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", b"{", b'{"student_id": "s-1"}'])
@pytest.mark.parametrize("key", [None, b"", b"\xff/1", b"t-1/s-1"])
def test_what_was_sealed_is_unsealed(key: bytes | None, value: bytes | None) -> None:
    """Byte for byte, with the record's key."""
    sealed = seal(original(key, value), STUDENT, KEY, "t-1")
    assert unseal(sealed, KEY) == Original(key, value, len(value or b""))


def test_it_says_which_key_it_needs() -> None:
    """That of a student, or of a day; a tenant is named in both cases, if it is known."""
    record = original(b"t-1/s-1", b"{}")
    of_student, of_day = seal(record, STUDENT, KEY, "t-1"), seal(record, DAY, KEY, "t-1")
    assert (of_student.key.name, of_student.tenant, of_student.day) == (STUDENT, "t-1", None)
    assert (of_day.key.name, of_day.tenant, of_day.student) == (DAY, "t-1", None)
    assert seal(record, DAY, KEY, None).tenant is None
    assert of_student.key.is_of(KEY)
    assert not of_student.key.is_of(new_key())


def test_nothing_of_the_record_can_be_read() -> None:
    """Neither its key nor its value."""
    sealed = msgspec.json.encode(seal(original(b"t-1/unmistakable", b"unmistakable value"), STUDENT, KEY, "t-1"))
    assert b"unmistakable" not in sealed


@pytest.mark.parametrize("key", [None, new_key()], ids=["no key", "another key"])
def test_without_its_key_it_is_erased(key: bytes | None) -> None:
    """The key is gone, or a student who returned has another one."""
    assert unseal(seal(original(None, b"{}"), STUDENT, KEY, "t-1"), key) is Lock.ERASED


@pytest.mark.parametrize("place", [0, 20, -10])
def test_an_altered_one_is_refused(place: int) -> None:
    """Each character is authenticated."""
    sealed = seal(original(None, b"{}"), STUDENT, KEY, "t-1")
    changed = list(sealed.encrypted)
    changed[place] = "A" if changed[place] != "A" else "B"
    assert unseal(msgspec.structs.replace(sealed, encrypted="".join(changed)), KEY) is Lock.ALTERED


@pytest.mark.parametrize("encrypted", ["", "é", "gAAAA", Fernet(KEY).encrypt(b"no record").decode()], ids=range(4))
def test_what_another_producer_wrote_is_refused(encrypted: str) -> None:
    """It is no record, whatever it is."""
    sealed = SealedPayload(encrypted, seal(original(None, b""), DAY, KEY, None).key_id, None, None, DAY)
    assert unseal(sealed, KEY) is Lock.ALTERED


def test_json_is_shown_as_it_is() -> None:
    """Large numbers and the order of fields are preserved."""
    payload = b'{"b": 1.00000000000000000001, "a": 123456789012345678901234567890}'
    assert msgspec.json.encode(original(None, payload).payload) == payload


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xffoops", "\\xffoops"),
        (b'"\xff"', '"\\xff"'),
        (b"{broken", "{broken"),
        (b"", ""),
        (b"[" * 100_000, "[" * 100_000),
        (None, None),
    ],
)
def test_what_is_not_json_is_shown_as_text(value: bytes | None, text: str | None) -> None:
    """Bytes that are not UTF-8 can be recovered."""
    assert shown(value) == text


@pytest.mark.parametrize(
    "value", [b"\xff" * 1_000_000, b"x" * 1_000_000, json.dumps({"a": "\u0001" * 150_000}).encode()], ids=range(3)
)
def test_it_always_fits_into_a_message(value: bytes) -> None:
    """Otherwise the largest records could not be dead-lettered, and would block those behind them."""
    record = original(b"k" * 1_000_000, value)
    assert record.is_cut
    assert record.value == value[:MAX_PAYLOAD_BYTES]
    assert record.key == b"k" * 200
    assert len(msgspec.json.encode(seal(record, STUDENT, KEY, "t-1"))) < 300_000
    assert shown(value).endswith(f"… ({len(value)} bytes in all)")
