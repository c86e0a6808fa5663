"""Authorization: one table of actions and roles. Pure functions. Source: design sections 5 and 6."""

from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import NamedTuple

from app.errors import AccessDenied
from app.roles import Role


class Action(StrEnum):
    """Actions of callers; the audit trail uses the same names."""

    QUERY_MASTERY = "mastery.query"
    CALCULATE_MASTERY = "mastery.calculate"
    INGEST_EVENTS = "mastery.ingest"
    PREDICT_NEXT_WEEK = "predictions.next-week"
    PREDICT_TRAJECTORY = "predictions.trajectory"
    LIST_AT_RISK = "predictions.at-risk"
    READ_ACCURACY = "predictions.accuracy"
    RECOMMEND = "recommendations.adaptive"
    PLAN_PATH = "recommendations.learning-path"
    READ_HISTORY = "analytics.mastery-history"
    EXPLAIN_CHANGES = "analytics.changes"
    COMPARE_STUDENT = "analytics.compare"
    LIST_COHORTS = "analytics.cohorts"
    READ_COHORT = "analytics.cohort"
    COMPARE_COHORTS = "analytics.compare-cohorts"
    PROCESS = "process"
    READ_TASK = "task.read"
    CREATE_BATCH = "batch.create"
    LIST_BATCHES = "batch.list"
    READ_BATCH = "batch.read"
    READ_BATCH_RESULTS = "batch.results"
    CANCEL_BATCH = "batch.cancel"
    REVOKE_OWN = "auth.revoke-own"
    REVOKE_ANY = "auth.revoke"
    READ_AUDIT = "audit.read"
    ERASE_STUDENT = "student.erase"
    READ_ERASURE = "student.erasure"
    EXPORT_STUDENT = "student.export"
    READ_CONSENT = "consent.read"
    CHANGE_CONSENT = "consent.change"


UNSEEN_STUDENT = "you may not see this student"  # whether the student exists or not
UNSEEN_COHORT = "you may not see this cohort"


class Scope(Enum):
    """The data to which a role's right to an action extends."""

    OWN = "the caller's own data, consent, tasks and tokens"
    COHORTS = "the students of the token's cohorts"
    TENANT = "everything in the tenant"


_THEIR_STUDENTS: Mapping[Role, Scope] = {Role.STUDENT: Scope.OWN, Role.TEACHER: Scope.COHORTS, Role.ADMIN: Scope.TENANT}

# What a student decides, and everything that is stored of a student: not for teachers.
_THEMSELVES: Mapping[Role, Scope] = {Role.STUDENT: Scope.OWN, Role.ADMIN: Scope.TENANT}

_TEACHING: Mapping[Role, Scope] = {Role.TEACHER: Scope.COHORTS, Role.ADMIN: Scope.TENANT}

# Roles that are not listed for an action may not do it.
POLICY: Mapping[Action, Mapping[Role, Scope]] = {
    Action.QUERY_MASTERY: _THEIR_STUDENTS,
    Action.CALCULATE_MASTERY: _THEIR_STUDENTS,
    Action.PREDICT_NEXT_WEEK: _THEIR_STUDENTS,
    Action.PREDICT_TRAJECTORY: _THEIR_STUDENTS,
    Action.LIST_AT_RISK: _TEACHING,
    Action.READ_ACCURACY: _TEACHING,
    Action.RECOMMEND: _THEIR_STUDENTS,
    Action.PLAN_PATH: _THEIR_STUDENTS,
    Action.READ_HISTORY: _THEIR_STUDENTS,
    Action.EXPLAIN_CHANGES: _THEIR_STUDENTS,
    Action.COMPARE_STUDENT: _THEIR_STUDENTS,  # students: with their own cohort
    Action.LIST_COHORTS: _TEACHING,
    Action.READ_COHORT: _TEACHING,
    Action.COMPARE_COHORTS: _TEACHING,  # both cohorts
    Action.INGEST_EVENTS: {Role.SERVICE: Scope.TENANT, Role.ADMIN: Scope.TENANT},
    Action.PROCESS: {Role.SERVICE: Scope.TENANT},  # Dapr's route; the token inside the message decides about its actions
    Action.READ_TASK: _THEIR_STUDENTS,  # and only tasks that they requested themselves, except for admins
    Action.CREATE_BATCH: _TEACHING,
    Action.LIST_BATCHES: _TEACHING,  # their own
    # Only batches that they created themselves, except for admins; of the results, only those of students they may see now.
    Action.READ_BATCH: _TEACHING,
    Action.READ_BATCH_RESULTS: _TEACHING,
    Action.CANCEL_BATCH: _TEACHING,
    Action.REVOKE_OWN: dict.fromkeys(Role, Scope.OWN),  # services too: their tokens may leak
    Action.REVOKE_ANY: {Role.ADMIN: Scope.TENANT},
    Action.READ_AUDIT: {Role.ADMIN: Scope.TENANT},
    Action.ERASE_STUDENT: {Role.ADMIN: Scope.TENANT},
    Action.READ_ERASURE: {Role.ADMIN: Scope.TENANT},
    Action.EXPORT_STUDENT: _THEMSELVES,
    Action.READ_CONSENT: _THEMSELVES,
    Action.CHANGE_CONSENT: _THEMSELVES,
}


class Principal(NamedTuple):
    """The caller, according to the token. ``cohorts`` are those of a teacher."""

    subject: str
    role: Role
    tenant: str
    cohorts: frozenset[str] = frozenset()

    @property
    def identity(self) -> str:
        """The caller's id within the tenant; includes the role, since a student and a teacher may have the same subject."""
        return f"{self.role.value}:{self.subject}"


def require_role(principal: Principal, action: Action) -> Scope:
    """The scope of the caller's right to an action. Raises AccessDenied without a right."""
    scope = POLICY[action].get(principal.role)
    if scope is None:
        raise AccessDenied(f"{_ARTICLES[principal.role]} may not do this")
    return scope


def cohorts_in_reach(principal: Principal, action: Action) -> Callable[[str | None], bool]:
    """Whether the caller may do this with the students of a cohort (None: of none). Raises AccessDenied without a right."""
    match require_role(principal, action):
        case Scope.TENANT:
            return lambda _cohort: True
        case Scope.COHORTS:
            return lambda cohort: cohort in principal.cohorts
        case Scope.OWN:
            return lambda _cohort: False


def require_student_access(principal: Principal, action: Action, student_id: str, cohort_of: Callable[[], str | None]) -> None:
    """Check that the caller may do this with the student's data.

    ``cohort_of`` looks up the student's cohort (None: none, or no such student); it is called only for teachers.

    Raises:
        AccessDenied: The caller may not. The error is the same whether the student exists or not.
    """
    match require_role(principal, action):
        case Scope.TENANT:
            allowed = True
        case Scope.COHORTS:
            allowed = cohort_of() in principal.cohorts
        case Scope.OWN:
            allowed = principal.subject == student_id
    if not allowed:
        raise AccessDenied(UNSEEN_STUDENT)


def require_cohort_access(principal: Principal, action: Action, cohort: str) -> None:
    """Raise AccessDenied unless the caller may do this with the data of all students of the cohort."""
    scope = require_role(principal, action)
    if scope is not Scope.TENANT and not (scope is Scope.COHORTS and cohort in principal.cohorts):
        raise AccessDenied(UNSEEN_COHORT)


def require_statistics_access(principal: Principal, action: Action, cohort: str, own_cohort: str | None) -> None:
    """Raise AccessDenied unless the caller may do this with statistics of the cohort; students with those of ``own_cohort``."""
    if require_role(principal, action) is not Scope.OWN:
        require_cohort_access(principal, action, cohort)
    elif cohort != own_cohort:
        raise AccessDenied(UNSEEN_COHORT)


def require_tenant_access(principal: Principal, action: Action) -> None:
    """Raise AccessDenied unless the caller may do this with the data of all students of the tenant."""
    if require_role(principal, action) is not Scope.TENANT:
        raise AccessDenied("you may not see all students")


def require_owner(principal: Principal, action: Action, owner: str) -> None:
    """Raise AccessDenied unless ``owner`` is the caller's identity, or the caller's scope is the tenant."""
    if require_role(principal, action) is not Scope.TENANT and principal.identity != owner:
        raise AccessDenied("this belongs to someone else")


_ARTICLES = {Role.STUDENT: "a student", Role.TEACHER: "a teacher", Role.ADMIN: "an admin", Role.SERVICE: "a service"}
