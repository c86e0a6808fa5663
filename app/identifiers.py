"""The pattern of every external id: safe in keys, paths and logs. Source: design section 4."""

import re
from typing import Annotated, TypeAlias

from msgspec import Meta

from app.errors import InvalidInput

# \Z, not $: Python's $ also matches before a trailing newline.
IDENTIFIER_PATTERN = r"^[A-Za-z0-9_-]{1,50}\Z"

IDENTIFIER_RULE = "must be 1 to 50 letters, digits, _ or -"

Identifier: TypeAlias = Annotated[str, Meta(pattern=IDENTIFIER_PATTERN)]


def is_identifier(value: str) -> bool:
    """Whether the text is a valid id."""
    return bool(re.match(IDENTIFIER_PATTERN, value))


def require_identifier(name: str, value: str) -> str:
    """Return the value if it is a valid id. Raises InvalidInput for field ``name`` otherwise."""
    if not is_identifier(value):
        raise InvalidInput(name, IDENTIFIER_RULE)
    return value
