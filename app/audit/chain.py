"""The hash chain that makes a trail tamper-evident: each entry's seal covers the seal of the entry before it. Pure functions.

The seal is HMAC-SHA256 (RFC 2104) of the previous seal, the trail's name and the entry's bytes. Without the key, entries cannot
be altered, inserted, removed or moved without breaking a seal or a link. The previous seal is stored with each entry, so that
every entry can be verified by itself, also after a gap. During key rotation the current key seals, and both keys verify.
"""

import hmac
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from app.audit.entry import Entry, decode, encode

SEAL_BYTES = 32
GENESIS = bytes(SEAL_BYTES)  # the previous seal of the first entry
MAX_SEQUENCE_DIGITS = 15  # above any real sequence; the engine did not write a longer number

ENTRY, PREVIOUS, SEAL = b"entry", b"previous", b"mac"
FIELDS = {ENTRY, PREVIOUS, SEAL}


class Head(NamedTuple):
    """The end of a trail: sequence and seal of its last entry. Written ``1234:<hex>``."""

    sequence: int = 0
    mac: bytes = GENESIS

    def __str__(self) -> str:
        return f"{self.sequence}:{self.mac.hex()}"


class Sealed(NamedTuple):
    """An entry as stored, with the previous entry's seal and its own."""

    entry: Entry
    text: bytes
    previous: bytes
    mac: bytes
    by_previous: bool = False  # sealed with the previous key

    @property
    def head(self) -> Head:
        """The trail's head if this is its last entry."""
        return Head(self.entry.sequence, self.mac)


class DerivedKeys(NamedTuple):
    """One key per purpose, so that a MAC for one purpose is invalid for the others."""

    chain: bytes
    anchor: bytes
    pseudonyms: bytes
    mandates: bytes


def derive_keys(secret: str) -> DerivedKeys:
    """HMAC-SHA256 of a label per key, like the first block of HKDF-Expand (RFC 5869 section 2.3)."""
    return DerivedKeys(
        *(
            hmac.digest(secret.encode(), f"mastery audit {label}\x01".encode(), "sha256")
            for label in ("chain", "anchor", "pseudonyms", "mandates")
        )
    )


class Anchor(NamedTuple):
    """The last trimmed entry, and whether the anchor is sealed with the previous key."""

    removed: Head
    by_previous: bool = False


class Chain:
    """Seals and verifies the entries of one trail. ``previous`` are the keys before the last rotation."""

    def __init__(self, keys: DerivedKeys, trail: str, previous: DerivedKeys | None = None) -> None:
        self._keys = keys
        self._all = [each for each in (keys, previous) if each is not None]
        self._name = trail.encode() + b"\0"

    def seal(self, head: Head, *entries: Entry) -> list[Sealed]:
        """Number and seal entries that follow the head."""
        sealed = []
        for each in entries:
            numbered = msgspec.structs.replace(each, sequence=head.sequence + 1)
            text = encode(numbered)
            sealed.append(Sealed(numbered, text, head.mac, self._mac(self._keys, head.mac, text)))
            head = sealed[-1].head
        return sealed

    def open(self, fields: Mapping[bytes, bytes]) -> Sealed | None:
        """The verified entry of a stream record's fields; None if the engine did not write it for this trail."""
        if fields.keys() != FIELDS or len(fields[PREVIOUS]) != SEAL_BYTES:
            return None
        text, previous = fields[ENTRY], fields[PREVIOUS]
        for keys in self._all:
            if hmac.compare_digest(self._mac(keys, previous, text), fields[SEAL]):
                found = decode(text)
                return Sealed(found, text, previous, fields[SEAL], keys is not self._keys) if found else None
        return None

    def anchor_fields(self, removed: Head) -> dict[bytes, bytes]:
        """The anchor's fields after trimming up to this entry."""
        return {b"sequence": b"%d" % removed.sequence, b"mac": removed.mac, b"seal": self._anchor_seal(self._keys, removed)}

    def open_anchor(self, fields: Mapping[bytes, bytes]) -> Anchor | None:
        """The verified anchor; the empty head without fields; None if the engine did not write it."""
        if not fields:
            return Anchor(Head())
        noted = parse_head(fields.get(b"sequence"), fields.get(b"mac"))
        for keys in self._all:
            if noted is not None and hmac.compare_digest(self._anchor_seal(keys, noted), fields.get(b"seal", b"")):
                return Anchor(noted, keys is not self._keys)
        return None

    def _mac(self, keys: DerivedKeys, previous: bytes, text: bytes) -> bytes:
        return hmac.digest(keys.chain, previous + self._name + text, "sha256")

    def _anchor_seal(self, keys: DerivedKeys, removed: Head) -> bytes:
        return hmac.digest(keys.anchor, self._name + b"%d:" % removed.sequence + removed.mac, "sha256")


def parse_head(sequence: bytes | None, mac: bytes | None) -> Head | None:
    """The head stored as two values; the empty trail's head if both are missing; None if they are invalid."""
    if sequence is None and mac is None:
        return Head()
    if sequence is None or mac is None or len(mac) != SEAL_BYTES:
        return None
    if not (sequence.isdigit() and len(sequence) <= MAX_SEQUENCE_DIGITS) or sequence.startswith(b"0"):
        return None
    return Head(int(sequence), mac)
