"""Who may do what, decided from values alone: one table of actions and roles. Source: design sections 5 and 6."""

from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import NamedTuple

from app.errors import AccessDenied
from app.roles import Role


class Action(StrEnum):
    """What a caller may want to do; the audit trail uses the same names."""

    QUERY_MASTERY = "mastery.query"
    CALCULATE_MASTERY = "mastery.calculate"
    INGEST_EVENTS = "mastery.ingest"
    PROCESS = "process"
    READ_TASK = "task.read"
    REVOKE_OWN = "auth.revoke-own"
    REVOKE_ANY = "auth.revoke"
    READ_AUDIT = "audit.read"


class Scope(Enum):
    """How far a role's right to an action reaches."""

    OWN = "what is theirs: a student's own mastery, one's own tokens"
    COHORTS = "the students of the cohorts that the token names"
    TENANT = "everything of the tenant"


_THEIR_STUDENTS: Mapping[Role, Scope] = {Role.STUDENT: Scope.OWN, Role.TEACHER: Scope.COHORTS, Role.ADMIN: Scope.TENANT}

# A role that is not named for an action may not do it at all.
POLICY: Mapping[Action, Mapping[Role, Scope]] = {
    Action.QUERY_MASTERY: _THEIR_STUDENTS,
    Action.CALCULATE_MASTERY: _THEIR_STUDENTS,
    Action.INGEST_EVENTS: {Role.SERVICE: Scope.TENANT, Role.ADMIN: Scope.TENANT},
    Action.PROCESS: {Role.SERVICE: Scope.TENANT},  # whatever the token inside may do: the route comes with Dapr
    Action.READ_TASK: _THEIR_STUDENTS,  # and only what they have asked for themselves, admins excepted
    Action.REVOKE_OWN: dict.fromkeys(Role, Scope.OWN),  # a service's too: it may have leaked
    Action.REVOKE_ANY: {Role.ADMIN: Scope.TENANT},
    Action.READ_AUDIT: {Role.ADMIN: Scope.TENANT},
}


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


def require_role(principal: Principal, action: Action) -> Scope:
    """How far the caller's right to an action reaches. Raises AccessDenied when they have none."""
    scope = POLICY[action].get(principal.role)
    if scope is None:
        raise AccessDenied(f"{_ARTICLES[principal.role]} may not do this")
    return scope


def require_student_access(principal: Principal, action: Action, student_id: str, cohort_of: Callable[[], str | None]) -> None:
    """Raise AccessDenied unless the caller may do this with the student's data.

    ``cohort_of`` finds the student's cohort (None: none, or no such student) and is asked only about a teacher's request. The
    denial is the same whether the student exists or not.
    """
    match require_role(principal, action):
        case Scope.TENANT:
            allowed = True
        case Scope.COHORTS:
            allowed = cohort_of() in principal.cohorts
        case Scope.OWN:
            allowed = principal.subject == student_id
    if not allowed:
        raise AccessDenied("you may not see this student")


def require_owner(principal: Principal, action: Action, owner: str) -> None:
    """Raise AccessDenied unless what the caller wants is theirs (``owner`` is an identity), or they see all of the tenant."""
    if require_role(principal, action) is not Scope.TENANT and principal.identity != owner:
        raise AccessDenied("this belongs to someone else")


_ARTICLES = {Role.STUDENT: "a student", Role.TEACHER: "a teacher", Role.ADMIN: "an admin", Role.SERVICE: "a service"}
