"""What callers can ask for in a body, registered once by action, so that every door offers the same.

A route of HTTP is the first door. Another one, whose messages name an action, calls ``perform``. The right to the action, the
schema of the body, the check of each student and the audit entry are then those of the action's own route.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from flask import Response
from marshmallow import Schema

from api.access import also_performs, performs
from api.parsing import JsonBlueprint, require_few_fields
from app.security.access import Action

UseCaseView: TypeAlias = Callable[[dict[str, Any]], Response]


class UseCase(NamedTuple):
    """The schema of the body, and the view that takes the validated body."""

    body: Schema
    view: UseCaseView


_USE_CASES: dict[Action, UseCase] = {}


def use_case(
    blueprint: JsonBlueprint, action: Action, body: Schema, *, examples: Mapping[str, Any]
) -> Callable[[UseCaseView], UseCaseView]:
    """Register a view as the use case of an action, and parse the body of its route with the same schema."""

    def register(view: UseCaseView) -> UseCaseView:
        if action in _USE_CASES:
            raise AssertionError(f"{action} has a use case already")
        _USE_CASES[action] = UseCase(body, view)
        parse: Callable[[UseCaseView], UseCaseView] = blueprint.arguments(body, examples=examples)
        return performs(action)(parse(view))

    return register


def use_cases() -> Mapping[Action, UseCase]:
    """All use cases by action."""
    return _USE_CASES


def perform(action: Action, body: Any) -> Response:
    """Perform an action for the caller of this request, which is another route's.

    Raises AccessDenied if the caller may not do this, and marshmallow's ValidationError if the body does not match the schema.

    Args:
        action: an action with a use case.
        body: the decoded JSON.

    Returns:
        The answer of the action's own route.
    """
    also_performs(action)
    found = _USE_CASES[action]
    require_few_fields(body)
    return found.view(found.body.load(body))
