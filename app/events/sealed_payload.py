"""Encrypts the record of a dead letter. Pure functions; the keys are in ``letter_keys.py``.

The cipher is Fernet of the library ``cryptography``: AES-128-CBC with HMAC-SHA256, so an altered text is not decrypted.
Specification: https://github.com/fernet/spec/blob/master/Spec.md
"""

from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, NamedTuple, TypeAlias

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from msgspec import Meta

from app.identifiers import Identifier

# A dead letter must fit into a Kafka message (1 MB), and a few thousand may wait in Redis. Fernet makes a text a third longer.
MAX_PAYLOAD_BYTES = 150_000
MAX_KEY_BYTES = 200  # tenant_id/student_id has up to 101 bytes; a longer key is not valid

Pseudonym: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{24}\Z", description="A student's pseudonym")]
KeyId: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


class StudentKeyName(NamedTuple):
    """Names the key of a student by the student's pseudonym."""

    tenant: str
    student: str


KeyName: TypeAlias = StudentKeyName | date  # the key of a student, or of a day for records in which no student can be read


class KeyReference(NamedTuple):
    """The name of a key, and which of the keys that had this name it is. The name is None if it is not known."""

    name: KeyName | None
    id: str

    def is_of(self, key: bytes | None) -> bool:
        """Whether a key is the one that is meant."""
        return key is not None and key_id(key) == self.id


class SealedPayload(msgspec.Struct, frozen=True):
    """``original_payload`` of a dead letter: the encrypted record, and which key decrypts it."""

    encrypted: str
    key_id: KeyId
    tenant: Identifier | None
    student: Pseudonym | None
    day: date | None

    @property
    def key(self) -> KeyReference:
        """The key that decrypts it. Another producer may have written neither a student nor a day."""
        name = StudentKeyName(self.tenant, self.student) if self.tenant and self.student else self.day
        return KeyReference(name, self.key_id)


class Original(msgspec.Struct, frozen=True, array_like=True):
    """What is encrypted: the record's key and value, and the size of the whole value in bytes.

    The value is None for a record without one, and cut if the size is larger than its own.
    """

    key: bytes | None
    value: bytes | None
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether the value is only the beginning of the record's value."""
        return self.value is not None and len(self.value) < self.size

    @property
    def payload(self) -> msgspec.Raw | str | None:
        """The value for people: as JSON if it is JSON, else as text, with a note at its end if it is cut."""
        if self.value is None:
            return None
        # Invalid UTF-8 stays recoverable: the byte 0xff becomes the text \xff.
        text = self.value.decode("utf-8", errors="backslashreplace")
        if self.is_cut:
            return f"{text}… ({self.size} bytes in all)"
        try:
            self.value.decode()  # msgspec does not validate the UTF-8 of raw JSON
            return msgspec.Raw(self.value) if _is_json(self.value) else text
        except UnicodeDecodeError:
            return text


class Lock(StrEnum):
    """Why a payload cannot be decrypted."""

    ERASED = "erased"  # the key is not there any more, or is another one
    ALTERED = "altered"  # the key is there, but the text is not what was encrypted


_original = msgspec.msgpack.Decoder(Original)


def original(key: bytes | None, value: bytes | None) -> Original:
    """The record to be encrypted, cut to its limits."""
    return Original(
        key[:MAX_KEY_BYTES] if key else key, value if value is None else value[:MAX_PAYLOAD_BYTES], len(value or b"")
    )


def new_key() -> bytes:
    """A new random key: 44 characters of base64."""
    return Fernet.generate_key()


def key_id(key: bytes) -> str:
    """16 hexadecimal digits that tell keys apart. A hash of random 256 bits reveals nothing of them."""
    return sha256(key).hexdigest()[:16]


def seal(record: Original, name: KeyName, key: bytes, tenant: str | None) -> SealedPayload:
    """Encrypt a record. ``tenant`` is the record's, if it can be read; with the key of a day, too."""
    encrypted = Fernet(key).encrypt(msgspec.msgpack.encode(record)).decode()
    if isinstance(name, StudentKeyName):
        return SealedPayload(encrypted, key_id(key), name.tenant, name.student, None)
    return SealedPayload(encrypted, key_id(key), tenant, None, name)


def unseal(sealed: SealedPayload, key: bytes | None) -> Original | Lock:
    """Decrypt a record, with the key that is stored under the name of the payload's key now."""
    if key is None or not sealed.key.is_of(key):
        return Lock.ERASED
    try:
        return _original.decode(Fernet(key).decrypt(sealed.encrypted.encode()))
    except (InvalidToken, msgspec.DecodeError):
        return Lock.ALTERED


def _is_json(value: bytes) -> bool:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
