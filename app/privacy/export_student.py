"""Exports everything that is stored of a student."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from app.errors import NotFound
from app.privacy.student_data import Exportable
from app.storage.exported import Exported


class StudentExport(NamedTuple):
    """An export.

    Attributes:
        student_id: the student.
        exported_at: when it was asked for.
        kinds: the data by kind. Their rows are read when the export is written; what changes meanwhile may be in it or not.
    """

    student_id: str
    exported_at: datetime
    kinds: Mapping[str, Exported]


def export_student(tenant: str, student_id: str, *, stores: Mapping[str, Exportable], now: datetime) -> StudentExport:
    """Export what the stores hold of a student.

    ``stores`` are tried in their order until one has something, so those that are read fast should be first.

    Returns:
        The export, with the kinds in the order of their names.

    Raises:
        NotFound: No store has anything of the student.
    """
    kinds = {name: store(tenant, student_id) for name, store in stores.items()}
    if all(next(kind.rows(), None) is None for kind in kinds.values()):
        raise NotFound("nothing that an export has is stored of such a student")
    return StudentExport(student_id, now, dict(sorted(kinds.items())))
