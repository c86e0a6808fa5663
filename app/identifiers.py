"""The one pattern of every id that enters the engine: safe in keys, paths and logs. Source: design section 4."""

from typing import Annotated, TypeAlias

from msgspec import Meta

# \Z, not $: Python's $ also matches before a trailing newline.
IDENTIFIER_PATTERN = r"^[A-Za-z0-9_-]{1,50}\Z"

Identifier: TypeAlias = Annotated[str, Meta(pattern=IDENTIFIER_PATTERN)]
