"""Who may see whose mastery: the whole decision table."""

import pytest

from app.errors import AccessDenied
from app.security.access import Principal, Role, require_owner, require_student_access

COHORTS = frozenset({"c-1", "c-2"})


@pytest.mark.parametrize(
    ("role", "subject", "cohorts", "student_cohort", "allowed"),
    [
        (Role.STUDENT, "s-1", frozenset(), "c-1", True),
        (Role.STUDENT, "s-2", frozenset(), "c-1", False),
        (Role.STUDENT, "s-2", COHORTS, "c-1", False),
        (Role.TEACHER, "t-1", COHORTS, "c-1", True),
        (Role.TEACHER, "t-1", COHORTS, "c-3", False),
        (Role.TEACHER, "t-1", COHORTS, None, False),
        (Role.TEACHER, "t-1", frozenset(), "c-1", False),
        (Role.TEACHER, "s-1", frozenset(), "c-1", False),
        (Role.ADMIN, "a-1", frozenset(), "c-1", True),
        (Role.ADMIN, "a-1", frozenset(), None, True),
        (Role.SERVICE, "s-1", COHORTS, "c-1", False),
    ],
)
def test_access_to_student_s_1(
    role: Role, subject: str, cohorts: frozenset[str], student_cohort: str | None, *, allowed: bool
) -> None:
    """Students see themselves, teachers their cohorts, admins their tenant, services nobody."""
    principal = Principal(subject, role, "tenant", cohorts)
    if allowed:
        require_student_access(principal, "s-1", lambda: student_cohort)
    else:
        with pytest.raises(AccessDenied):
            require_student_access(principal, "s-1", lambda: student_cohort)


def test_the_denial_is_the_same_whether_the_student_exists_or_not() -> None:
    """A teacher cannot find out who exists by asking."""
    teacher = Principal("t-1", Role.TEACHER, "tenant", COHORTS)
    messages = set()
    for cohort in ("c-3", None):
        with pytest.raises(AccessDenied) as denied:
            require_student_access(teacher, "s-1", lambda cohort=cohort: cohort)  # type: ignore[misc]
        messages.add(str(denied.value))
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("role", "subject", "allowed"),
    [(Role.STUDENT, "me", True), (Role.STUDENT, "you", False), (Role.TEACHER, "me", False), (Role.ADMIN, "you", True)],
)
def test_access_to_what_belongs_to_me(role: Role, subject: str, *, allowed: bool) -> None:
    """Owners and admins."""
    principal = Principal(subject, role, "tenant")
    if allowed:
        require_owner(principal, "student:me")
    else:
        with pytest.raises(AccessDenied):
            require_owner(principal, "student:me")
