"""The settings of batches."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """The part of ``app/config/settings.py`` about batches."""

    # How long a batch and its results are kept after its end; one that still runs this long after its creation expires.
    batch_retention_hours: Annotated[int, Meta(ge=1, le=24 * 365)] = 24
