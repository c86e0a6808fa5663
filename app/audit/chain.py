"""What makes a trail tamper-evident: each entry is sealed with a key, together with the seal of the one before it. Values only.

The seal is HMAC-SHA256 (RFC 2104) of the previous seal, the trail's name and the entry's bytes. Whoever can write to Redis but
has not the key can neither alter an entry, nor put one in, nor take one out, nor move one, without breaking a seal or a link.
The previous seal is stored beside each entry: so every entry is judged by itself, and after a gap the next one still is.
While the key is replaced there are two: the current one seals, and what the previous one sealed is recognised.
"""

import hmac
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from app.audit.entry import Entry, decode, encode

SEAL_BYTES = 32
GENESIS = bytes(SEAL_BYTES)  # what the first entry has for the seal before it
MAX_SEQUENCE_DIGITS = 15  # more than there ever will be; what has more was not written by the engine

ENTRY, PREVIOUS, SEAL = b"entry", b"previous", b"mac"
FIELDS = {ENTRY, PREVIOUS, SEAL}


class Head(NamedTuple):
    """Where a trail ends: the number of its last entry and that entry's seal. Written ``1234:<hex>``."""

    sequence: int = 0
    mac: bytes = GENESIS

    def __str__(self) -> str:
        return f"{self.sequence}:{self.mac.hex()}"


class Sealed(NamedTuple):
    """An entry as it is stored."""

    entry: Entry
    text: bytes
    previous: bytes
    mac: bytes
    by_previous: bool = False  # whether it was sealed with the previous key

    @property
    def head(self) -> Head:
        """The end of the trail while this is its last entry."""
        return Head(self.entry.sequence, self.mac)


class DerivedKeys(NamedTuple):
    """DerivedKeys for each purpose, so that what one makes is good for no other."""

    chain: bytes
    anchor: bytes
    pseudonyms: bytes
    mandates: bytes


def derive_keys(secret: str) -> DerivedKeys:
    """HMAC-SHA256 of a label each, as HKDF expands a key (RFC 5869 section 2.3, first block)."""
    return DerivedKeys(
        *(
            hmac.digest(secret.encode(), f"mastery audit {label}\x01".encode(), "sha256")
            for label in ("chain", "anchor", "pseudonyms", "mandates")
        )
    )


class Anchor(NamedTuple):
    """The last entry that was trimmed, and whether that was noted with the previous key."""

    removed: Head
    by_previous: bool = False


class Chain:
    """Seals and checks the entries of one trail. ``previous`` is the key before, where there is one."""

    def __init__(self, keys: DerivedKeys, trail: str, previous: DerivedKeys | None = None) -> None:
        self._keys = keys
        self._all = [each for each in (keys, previous) if each is not None]
        self._name = trail.encode() + b"\0"

    def seal(self, head: Head, *entries: Entry) -> list[Sealed]:
        """The entries, numbered and sealed, as they follow the head."""
        sealed = []
        for each in entries:
            numbered = msgspec.structs.replace(each, sequence=head.sequence + 1)
            text = encode(numbered)
            sealed.append(Sealed(numbered, text, head.mac, self._mac(self._keys, head.mac, text)))
            head = sealed[-1].head
        return sealed

    def open(self, fields: Mapping[bytes, bytes]) -> Sealed | None:
        """The entry in the fields of a stream's record, or None if it is not as the engine wrote it for this trail."""
        if fields.keys() != FIELDS or len(fields[PREVIOUS]) != SEAL_BYTES:
            return None
        text, previous = fields[ENTRY], fields[PREVIOUS]
        for keys in self._all:
            if hmac.compare_digest(self._mac(keys, previous, text), fields[SEAL]):
                found = decode(text)
                return Sealed(found, text, previous, fields[SEAL], keys is not self._keys) if found else None
        return None

    def anchor_fields(self, removed: Head) -> dict[bytes, bytes]:
        """What is noted when the entries up to this one are trimmed."""
        return {b"sequence": b"%d" % removed.sequence, b"mac": removed.mac, b"seal": self._anchor_seal(self._keys, removed)}

    def open_anchor(self, fields: Mapping[bytes, bytes]) -> Anchor | None:
        """The last entry that was trimmed (none yet without any fields), or None if that was not noted by the engine."""
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
    """The head that is stored as two values, the empty trail's if there are none, or None if they are not those of a head."""
    if sequence is None and mac is None:
        return Head()
    if sequence is None or mac is None or len(mac) != SEAL_BYTES:
        return None
    if not (sequence.isdigit() and len(sequence) <= MAX_SEQUENCE_DIGITS) or sequence.startswith(b"0"):
        return None
    return Head(int(sequence), mac)
