"""Who may see whose mastery, decided from values. Source: design sections 5 and 6."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from app.errors import AccessDenied


class Role(StrEnum):
    """What a token's bearer is."""

    STUDENT = "student"
    TEACHER = "teacher"
    ADMIN = "admin"
    SERVICE = "service"


class Principal(NamedTuple):
    """The caller, as the token says. ``cohorts`` are those a teacher teaches."""

    subject: str
    role: Role
    tenant: str
    cohorts: frozenset[str] = frozenset()

    @property
    def identity(self) -> str:
        """Who it is within the tenant: a student and a teacher may have the same subject."""
        return f"{self.role.value}:{self.subject}"


def require_student_access(principal: Principal, student_id: str, cohort_of: Callable[[], str | None]) -> None:
    """Raise AccessDenied unless the caller is the student, a teacher of their cohort, or an admin of the tenant.

    ``cohort_of`` finds the student's cohort (None: none, or no such student) and is asked only about a teacher's request.
    """
    match principal.role:
        case Role.ADMIN:
            allowed = True
        case Role.STUDENT:
            allowed = principal.subject == student_id
        case Role.TEACHER:
            allowed = cohort_of() in principal.cohorts
        case Role.SERVICE:
            allowed = False
    if not allowed:
        raise AccessDenied("you may not see this student")


def require_owner(principal: Principal, owner: str) -> None:
    """Raise AccessDenied unless the caller is the owner of what they ask for, or an admin of the tenant."""
    if principal.role is not Role.ADMIN and principal.identity != owner:
        raise AccessDenied("this belongs to someone else")
