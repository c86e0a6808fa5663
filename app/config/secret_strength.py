"""Detects secrets that are short, public or can be guessed. Pure functions."""

import re
from difflib import SequenceMatcher

MIN_SECRET_BYTES = 32  # RFC 7518 section 3.2: an HS256 key is at least as long as the hash
MIN_PASSWORD_CHARACTERS = 15  # NIST SP 800-63B-4 section 3.1.1.2: the password is the only factor
MIN_COMMON_CHARACTERS = 8  # a shorter common substring may be chance if one of the two is a short password
# Distinct characters: 32 random hexadecimal digits have 14 on average, and fewer than 8 once in ten million times.
MIN_SECRET_CHARACTERS = 8
# Words from examples and careless input. Hexadecimal digits never spell one; 43 random Base64 characters do once in a million.
_PLACEHOLDERS = re.compile(
    "secret|passwor[dt]|change-?me|change-?it|replace-?me|replace-?this|example|placeholder|default|development|production"
    "|qwertz|qwerty|letmein|12345678|87654321|abcdefgh",
)
# Complete example secrets from our documentation and jwt.io.
_SHOWN = ("your-256-bit-secret", "a-string-secret-at-least-256-bits-long")


def shortness(secret: str, *, is_password: bool) -> str | None:
    """Why a text is too short for a password or a key; None if it is not."""
    if is_password:
        return None if len(secret) >= MIN_PASSWORD_CHARACTERS else f"needs at least {MIN_PASSWORD_CHARACTERS} characters"
    return None if len(secret.encode()) >= MIN_SECRET_BYTES else f"needs at least {MIN_SECRET_BYTES} bytes"


def weakness(secret: str) -> str | None:
    """Why a text is a weak secret, whatever its length; None if it is not."""
    if len(set(secret)) < MIN_SECRET_CHARACTERS:
        return f"needs at least {MIN_SECRET_CHARACTERS} different characters"
    if _repeats_itself(secret):
        return "repeats itself"
    if _PLACEHOLDERS.search(secret.lower()) or any(is_variation(secret, shown) for shown in _SHOWN):
        return "reads like an example, or like a word that was to be replaced"
    return None


def is_variation(secret: str, other: str) -> bool:
    """Whether one secret can be guessed from the other: a common substring has half the shorter one's length, ignoring case.

    Returns:
        True if they are variations. Random secrets have four or five characters in common.
    """
    first, second = secret.strip().lower(), other.strip().lower()
    common = SequenceMatcher(None, first, second, autojunk=False).find_longest_match().size
    return common >= max(MIN_COMMON_CHARACTERS, min(len(first), len(second)) / 2)


def _repeats_itself(secret: str) -> bool:
    """Whether fewer than half of its trigrams are distinct; in random text, nearly all are."""
    groups = [secret[at : at + 3] for at in range(len(secret) - 2)]
    return 2 * len(set(groups)) < len(groups)
