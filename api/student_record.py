"""The record of the one student that a request is about. It is read once, for the check of the caller's right as well."""

from collections.abc import Mapping
from functools import cache, partial

from api.access import require_student
from api.authentication import engine, principal
from api.rate_limits import own_record
from app.mastery.fact_store import cohort_in


def student_record(student_id: str) -> Mapping[bytes, bytes]:
    """Check that the caller may do this with the student's data, and read the student's record.

    Students' own records were read with the count of their requests. Raises AccessDenied like ``require_student``.

    Returns:
        The hash of the record; empty if there is no such student.
    """
    read = cache(partial(engine().mastery.facts.fields, principal().tenant, student_id))
    require_student(student_id, lambda: cohort_in(read()))
    own = own_record()
    return read() if own is None else own
