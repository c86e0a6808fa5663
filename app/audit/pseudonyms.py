"""Pseudonyms of students: always the same for the same student, and not to be traced back without the key.

An unkeyed hash would be no pseudonym: whoever has a list of ids could hash them all and compare. The tenant is part of it, so
that the trails of two tenants cannot be joined by a student's id that both use.
"""

import hmac

PSEUDONYM_BYTES = 12  # 96 bits: two of a million students are alike with a probability of 10⁻¹⁷


class Pseudonyms:
    """The pseudonyms that a key gives."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, tenant: str, student_id: str) -> str:
        """24 hexadecimal digits. HMAC-SHA256 (RFC 2104), cut to 96 bits."""
        return hmac.digest(self._key, f"{tenant}\0{student_id}".encode(), "sha256")[:PSEUDONYM_BYTES].hex()
