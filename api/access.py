"""Maps each route to an action and checks that its caller may do it; the access table is in ``app/security/access.py``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from flask import Flask, request

from api.authentication import engine, principal, require_not_revoked, require_token
from api.request_context import context
from app.security.access import Action, require_role, require_student_access

# Routes without authentication. Every other route performs an action and requires a token.
PUBLIC_ENDPOINTS = frozenset(
    {
        "health.info",
        "health.alive",
        "health.ready",
        "api-docs.openapi_json",
        "api-docs.openapi_swagger_ui",
        "docs-assets.static",
        "docs-assets.start",
    }
)

View = TypeVar("View", bound=Callable[..., Any])


def performs(action: Action) -> Callable[[View], View]:
    """Mark a view with its action. The right to it is checked before the body is validated and the view is called."""

    def mark(view: View) -> View:
        view.action = action  # type: ignore[attr-defined]
        return view

    return mark


def register_access(app: Flask) -> None:
    """Reject requests to non-public routes whose caller's role does not have the right to their action."""

    @app.before_request
    def authorize() -> None:
        action = route_action()
        if action is None or request.method == "OPTIONS":
            return
        _note_request(action)  # apart: an error's frame must not keep the request
        who = require_token()
        require_not_revoked()
        require_role(who, action)


def _note_request(action: Action) -> None:
    """Note the action, and the student in the path: whose data it is about, also if the caller is refused."""
    current = context()
    current.action = action
    if request.view_args and "student_id" in request.view_args:
        current.data_subjects = (request.view_args["student_id"],)


def route_action() -> Action | None:
    """The action of this request's route; None for a public or unknown route."""
    return getattr(context().view, "action", None)


def action() -> Action | None:
    """The action of this request; None for a public route or an unknown one."""
    return context().action


def also_performs(action: Action) -> None:
    """Change this request's action, in a view whose action depends on the body. Raises AccessDenied without the right to it."""
    context().action = action
    require_role(principal(), action)


def require_student(student_id: str, cohort_of: Callable[[], str | None] | None = None) -> None:
    """Raise AccessDenied unless the caller may do this with the student's data.

    ``cohort_of`` looks up the student's cohort; by default it is read from the facts.
    """
    context().data_subjects = [student_id]
    _require(student_id, cohort_of)


def require_students(student_ids: Sequence[str]) -> None:
    """Raise AccessDenied unless the caller may do this with the data of each of these students."""
    context().data_subjects = student_ids
    for student_id in student_ids:
        _require(student_id)


def _require(student_id: str, cohort_of: Callable[[], str | None] | None = None) -> None:
    who, action = principal(), cast("Action", context().action)
    stored = partial(engine().mastery.facts.cohort_of, who.tenant, student_id)
    require_student_access(who, action, student_id, cohort_of or stored)


def check_routes(app: Flask) -> None:
    """Check at start-up that every route either is public or has an action."""
    for endpoint, view in app.view_functions.items():
        if (endpoint in PUBLIC_ENDPOINTS) == hasattr(view, "action"):
            raise AssertionError(f"{endpoint} must either be public or perform an action")
