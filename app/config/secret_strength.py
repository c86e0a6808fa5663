"""What makes a secret one that others may know, or can guess. Computes from values only."""

import re
from difflib import SequenceMatcher

MIN_COMMON_CHARACTERS = 8  # fewer in a row may be chance, where one of the two is a short password
MIN_SECRET_CHARACTERS = 8  # different ones: 32 random hexadecimal digits have 14; fewer than these, one in ten million times
# Words of examples, and of what people type where a secret is wanted. Hexadecimal digits never spell one; 43 random characters
# of Base64 do so once in a million times.
_PLACEHOLDERS = re.compile(
    "secret|passwor[dt]|change-?me|change-?it|replace-?me|replace-?this|example|placeholder|default|development|production"
    "|qwertz|qwerty|letmein|12345678|87654321|abcdefgh",
)
# What documentation shows, complete: ours, and that of jwt.io.
_SHOWN = ("your-256-bit-secret", "a-string-secret-at-least-256-bits-long")


def weakness(secret: str) -> str | None:
    """Why a text is no secret, whatever its length; None if nothing speaks against it."""
    if len(set(secret)) < MIN_SECRET_CHARACTERS:
        return f"needs at least {MIN_SECRET_CHARACTERS} different characters"
    if _repeats_itself(secret):
        return "repeats itself"
    if _PLACEHOLDERS.search(secret.lower()) or any(is_variation(secret, shown) for shown in _SHOWN):
        return "reads like an example, or like a word that was to be replaced"
    return None


def is_variation(secret: str, other: str) -> bool:
    """Whether two secrets have half of the shorter one in common, in one piece, whatever the case.

    Who knows one can guess the other. Random ones have four or five characters in common.
    """
    first, second = secret.strip().lower(), other.strip().lower()
    common = SequenceMatcher(None, first, second, autojunk=False).find_longest_match().size
    return common >= max(MIN_COMMON_CHARACTERS, min(len(first), len(second)) / 2)


def _repeats_itself(secret: str) -> bool:
    """Whether less than half of its groups of three characters are different: of random ones, nearly all are."""
    groups = [secret[at : at + 3] for at in range(len(secret) - 2)]
    return 2 * len(set(groups)) < len(groups)
