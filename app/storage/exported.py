"""What a store gives to the export of a student, whichever store it is."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

ExportedRow: TypeAlias = Mapping[str, str | int | float | bool | None]


class Exported(NamedTuple):
    """A table of what a store holds of a student.

    Attributes:
        description: what a row is.
        columns: the meaning of each column, by name. Each row has all of them; None where nothing is stored.
        rows: reads the rows, some at a time. May be called repeatedly.
    """

    description: str
    columns: Mapping[str, str]
    rows: Callable[[], Iterator[ExportedRow]]


def utc_text(moment: datetime) -> str:
    """A moment in an exported row: ISO 8601, UTC, as in ``2026-10-28T12:00:00Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
