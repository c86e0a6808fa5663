"""Pseudonyms of students: deterministic, and irreversible without the key.

An unkeyed hash would be reversible by hashing a list of ids. The tenant is part of the input, so that the trails of two tenants
cannot be joined by a student id that both use.
"""

import hmac
from collections.abc import Callable, Sequence
from typing import TypeAlias

# All pseudonyms of a student of a tenant: under the current key, then under the previous one, if the key was changed.
Pseudonymize: TypeAlias = Callable[[str, str], Sequence[str]]

WHOLE_TENANT = "*"  # in place of a pseudonym: all students of a tenant
PSEUDONYM_BYTES = 12  # 96 bits: among a million students, a collision has a probability of 10⁻¹⁷


class Pseudonyms:
    """Derives pseudonyms with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, tenant: str, student_id: str) -> str:
        """24 hexadecimal digits: HMAC-SHA256 (RFC 2104), truncated to 96 bits."""
        return hmac.digest(self._key, f"{tenant}\0{student_id}".encode(), "sha256")[:PSEUDONYM_BYTES].hex()
