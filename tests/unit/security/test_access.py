"""The complete access table."""

from collections.abc import Callable
from itertools import product

import pytest

from app.errors import AccessDenied
from app.roles import Role
from app.security.access import (
    Action,
    Principal,
    Scope,
    require_cohort_access,
    require_owner,
    require_role,
    require_statistics_access,
    require_student_access,
    require_tenant_access,
)

COHORTS = frozenset({"c-1", "c-2"})

# Each action with the scopes of student, teacher, admin and service: O own, C cohorts, T tenant, - none.
TABLE = {
    Action.QUERY_MASTERY: "OCT-",
    Action.CALCULATE_MASTERY: "OCT-",
    Action.INGEST_EVENTS: "--TT",
    Action.PREDICT_NEXT_WEEK: "OCT-",
    Action.PREDICT_TRAJECTORY: "OCT-",
    Action.LIST_AT_RISK: "-CT-",
    Action.READ_ACCURACY: "-CT-",
    Action.RECOMMEND: "OCT-",
    Action.PLAN_PATH: "OCT-",
    Action.READ_HISTORY: "OCT-",
    Action.EXPLAIN_CHANGES: "OCT-",
    Action.COMPARE_STUDENT: "OCT-",
    Action.LIST_COHORTS: "-CT-",
    Action.READ_COHORT: "-CT-",
    Action.COMPARE_COHORTS: "-CT-",
    Action.PROCESS: "---T",
    Action.READ_TASK: "OCT-",
    Action.CREATE_BATCH: "-CT-",
    Action.LIST_BATCHES: "-CT-",
    Action.READ_BATCH: "-CT-",
    Action.READ_BATCH_RESULTS: "-CT-",
    Action.CANCEL_BATCH: "-CT-",
    Action.REVOKE_OWN: "OOOO",
    Action.REVOKE_ANY: "--T-",
    Action.READ_AUDIT: "--T-",
    Action.ERASE_STUDENT: "--T-",
    Action.READ_ERASURE: "--T-",
    Action.EXPORT_STUDENT: "O-T-",
    Action.READ_CONSENT: "O-T-",
    Action.CHANGE_CONSENT: "O-T-",
}
ROLES = (Role.STUDENT, Role.TEACHER, Role.ADMIN, Role.SERVICE)
ROWS = [(action, role, reach) for action, reaches in TABLE.items() for role, reach in zip(ROLES, reaches, strict=True)]
STUDENT_ACTIONS = [action for action, reaches in TABLE.items() if reaches == "OCT-"]


def test_the_table_is_whole() -> None:
    """It has every action and every role."""
    assert {(action, role) for action, role, _ in ROWS} == set(product(Action, Role))


@pytest.mark.parametrize(("action", "role", "reach"), ROWS)
def test_how_far_each_role_reaches(action: Action, role: Role, reach: str) -> None:
    """A role has the scope of the table, or is denied."""
    principal = Principal("p-1", role, "tenant", COHORTS)
    if reach == "-":
        with pytest.raises(AccessDenied, match=f"{role} may not do this"):
            require_role(principal, action)
    else:
        assert require_role(principal, action) is {"O": Scope.OWN, "C": Scope.COHORTS, "T": Scope.TENANT}[reach]


@pytest.mark.parametrize("action", STUDENT_ACTIONS)
@pytest.mark.parametrize(
    ("role", "subject", "cohorts", "student_cohort", "allowed"),
    [
        (Role.STUDENT, "s-1", frozenset(), "c-1", True),
        (Role.STUDENT, "s-1", frozenset(), None, True),
        (Role.STUDENT, "s-2", frozenset(), "c-1", False),
        (Role.STUDENT, "s-2", COHORTS, "c-1", False),
        (Role.STUDENT, "S-1", frozenset(), "c-1", False),
        (Role.TEACHER, "t-1", COHORTS, "c-1", True),
        (Role.TEACHER, "t-1", COHORTS, "c-2", True),
        (Role.TEACHER, "t-1", COHORTS, "c-3", False),
        (Role.TEACHER, "t-1", COHORTS, None, False),
        (Role.TEACHER, "t-1", frozenset(), "c-1", False),
        (Role.TEACHER, "t-1", frozenset(), None, False),
        (Role.TEACHER, "s-1", frozenset(), "c-1", False),
        (Role.ADMIN, "a-1", frozenset(), "c-1", True),
        (Role.ADMIN, "a-1", frozenset(), None, True),
        (Role.SERVICE, "s-1", COHORTS, "c-1", False),
    ],
)
def test_access_to_student_s_1(
    action: Action, role: Role, subject: str, cohorts: frozenset[str], student_cohort: str | None, *, allowed: bool
) -> None:
    """Students see themselves, teachers their cohorts, admins their tenant; services see nobody."""
    principal = Principal(subject, role, "tenant", cohorts)
    if allowed:
        require_student_access(principal, action, "s-1", lambda: student_cohort)
    else:
        with pytest.raises(AccessDenied):
            require_student_access(principal, action, "s-1", lambda: student_cohort)


def test_the_denial_is_the_same_whether_the_student_exists_or_not() -> None:
    """A teacher cannot use queries to find out which students exist."""
    teacher = Principal("t-1", Role.TEACHER, "tenant", COHORTS)
    messages = set()
    for cohort in ("c-3", None):
        with pytest.raises(AccessDenied) as denied:
            require_student_access(teacher, Action.QUERY_MASTERY, "s-1", lambda cohort=cohort: cohort)  # type: ignore[misc]
        messages.add(str(denied.value))
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("role", "subject", "allowed"),
    [
        (Role.STUDENT, "me", True),
        (Role.STUDENT, "you", False),
        (Role.TEACHER, "me", False),
        (Role.ADMIN, "you", True),
        (Role.SERVICE, "me", False),
    ],
)
def test_access_to_a_task_of_student_me(role: Role, subject: str, *, allowed: bool) -> None:
    """The owner and admins have access; the same subject with another role does not."""
    principal = Principal(subject, role, "tenant")
    if allowed:
        require_owner(principal, Action.READ_TASK, "student:me")
    else:
        with pytest.raises(AccessDenied):
            require_owner(principal, Action.READ_TASK, "student:me")


@pytest.mark.parametrize(
    ("role", "cohort", "sees_cohort", "sees_all"),
    [
        (Role.TEACHER, "c-1", True, False),
        (Role.TEACHER, "c-3", False, False),
        (Role.ADMIN, "c-3", True, True),
        (Role.STUDENT, "c-1", False, False),
        (Role.SERVICE, "c-1", False, False),
    ],
)
def test_access_to_a_cohort_and_to_all(role: Role, cohort: str, *, sees_cohort: bool, sees_all: bool) -> None:
    """Teachers see their cohorts, admins all students of the tenant."""
    principal = Principal("p-1", role, "tenant", COHORTS)

    def may(check: Callable[[], None]) -> bool:
        try:
            check()
        except AccessDenied:
            return False
        return True

    assert may(lambda: require_cohort_access(principal, Action.CREATE_BATCH, cohort)) == sees_cohort
    assert may(lambda: require_tenant_access(principal, Action.CREATE_BATCH)) == sees_all


@pytest.mark.parametrize(
    ("role", "cohort", "own", "allowed"),
    [
        (Role.STUDENT, "c-1", "c-1", True),
        (Role.STUDENT, "c-1", "c-3", False),  # the token's cohorts are those of a teacher
        (Role.STUDENT, "c-1", None, False),
        (Role.TEACHER, "c-1", "c-3", True),
        (Role.TEACHER, "c-3", "c-3", False),
        (Role.ADMIN, "c-3", None, True),
        (Role.SERVICE, "c-1", "c-1", False),
    ],
)
def test_access_to_statistics(role: Role, cohort: str, own: str | None, *, allowed: bool) -> None:
    """Students see those of their own cohort, teachers those of the token's, admins all; services none."""
    principal = Principal("p-1", role, "tenant", COHORTS)
    if allowed:
        require_statistics_access(principal, Action.COMPARE_STUDENT, cohort, own)
    else:
        with pytest.raises(AccessDenied):
            require_statistics_access(principal, Action.COMPARE_STUDENT, cohort, own)
