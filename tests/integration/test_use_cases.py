"""Another door performs an action exactly as the action's own route does: right, schema, answer, audit entry."""

from typing import Any

import pytest
from flask import Blueprint, Response, request
from werkzeug.test import TestResponse

from api.access import performs
from api.use_cases import perform, use_cases
from app.predictions.current_forecast import current_forecast
from app.roles import Role
from app.security.access import Action
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz

OWN_ROUTES = {
    Action.QUERY_MASTERY: "/mastery/query",
    Action.CALCULATE_MASTERY: "/mastery/calculate",
    Action.PREDICT_NEXT_WEEK: "/predictions/next-week",
    Action.PREDICT_TRAJECTORY: "/predictions/trajectory",
    Action.RECOMMEND: "/recommendations/adaptive",
    Action.PLAN_PATH: "/recommendations/learning-path",
    Action.READ_HISTORY: "/analytics/mastery-history",
    Action.EXPLAIN_CHANGES: "/analytics/changes",
    Action.COMPARE_STUDENT: "/analytics/compare",
    Action.COMPARE_COHORTS: "/analytics/compare/cohorts",
    Action.CREATE_BATCH: "/batch/mastery",
}
CALLERS: dict[str, dict[str, Any]] = {
    "admin": {},
    "admin elsewhere": {"tenant": "t-2"},
    "teacher": {"role": Role.TEACHER, "cohorts": ("c-1",)},
    "another teacher": {"role": Role.TEACHER, "cohorts": ("c-2",)},
    "student": {"role": Role.STUDENT, "subject": "s-1"},
    "another student": {"role": Role.STUDENT, "subject": "s-2"},
    "service": {"role": Role.SERVICE},
}
BODIES: dict[Action, dict[str, Any]] = {
    Action.QUERY_MASTERY: {
        "valid": {"student_id": "s-1", "include_components": False},
        "earlier": {"student_id": "s-1", "date": "2026-10-01"},
        "invalid": {"student_id": "s 1", "date": "today"},
    },
    Action.CALCULATE_MASTERY: {
        "valid": {"student_id": "s-1", "components": {"quiz": 0.5}},
        "unknown": {"student_id": "s-9"},
        "invalid": {"student_id": "s-1", "components": {"quiz": "0.5"}, "weights": {"quiz": 2, "other": 1}},
    },
    Action.PREDICT_NEXT_WEEK: {
        "valid": {"student_id": "s-1"},
        "unknown": {"student_id": "s-9"},
        "invalid": {"student_id": "s 1", "days": 7},
    },
    Action.PREDICT_TRAJECTORY: {
        "valid": {"student_id": "s-1", "days": 3},
        "unknown": {"student_id": "s-9"},
        "invalid": {"student_id": "s-1", "days": 31},
    },
    Action.RECOMMEND: {
        "valid": {"student_id": "s-1", "limit": 2, "priority": "high", "components": ["quiz", "quality"]},
        "unknown": {"student_id": "s-9"},
        "invalid": {"student_id": "s-1", "limit": 11, "priority": "urgent", "components": ["quizzes"]},
    },
    Action.PLAN_PATH: {
        "valid": {"student_id": "s-1", "target_level": "expert", "minutes_per_day": 15},
        "unknown": {"student_id": "s-9"},
        "invalid": {"student_id": "s-1", "target_level": "best", "minutes_per_day": 14},
    },
    Action.READ_HISTORY: {
        "valid": {"student_id": "s-1", "start_date": "2026-10-01", "end_date": "2026-10-28", "aggregation": "weekly"},
        "unknown": {"student_id": "s-9", "start_date": "2026-10-01", "end_date": "2026-10-28"},
        "invalid": {"student_id": "s-1", "start_date": "2026-10-28", "end_date": "2026-10-01"},
    },
    Action.EXPLAIN_CHANGES: {
        "valid": {"student_id": "s-1", "since": "2026-10-20"},
        "unknown": {"student_id": "s-9", "since": "2026-10-20"},
        "invalid": {"student_id": "s-1", "since": "2026-10-29"},
    },
    Action.COMPARE_STUDENT: {
        "valid": {"student_id": "s-1", "metric": "by_component"},
        "unknown": {"student_id": "s-1", "cohort_id": "c-9"},
        "invalid": {"student_id": "s-1", "metric": "quiz"},
    },
    Action.COMPARE_COHORTS: {
        "unknown": {"cohort_a": "c-1", "cohort_b": "c-2"},
        "invalid": {"cohort_a": "c-1", "cohort_b": "c-1"},
    },
    Action.CREATE_BATCH: {
        "accepted": {"compute": "mastery", "batch_id": "b-1", "students": ["s-1", "s-9"]},
        "all": {"compute": "mastery", "batch_id": "b-2", "all": True},
        "invalid": {"compute": "mastery", "students": ["s-9"], "priority": "urgent"},
    },
}
WRONG: dict[str, Any] = {"no object": ["s-1"], "empty": {}, "too many fields": dict.fromkeys(map(str, range(101)), 1)}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With another door, which every role may use."""
    door = Blueprint("door", __name__)

    @door.post("/door/<action>")
    @performs(Action.REVOKE_OWN)
    def open_door(action: str) -> Response:
        return perform(Action(action), request.get_json())

    api.client.application.register_blueprint(door)
    api.record(quiz(cohort_id="c-1"), *(quiz(student_id=f"s-c{number}", cohort_id="c-1") for number in range(4)))
    current_forecast("t-1", "s-1", using=api.engine.forecasting, now=api.engine.clock())  # stored, as no worker runs here
    return api


def answered(answer: TestResponse) -> tuple[int, Any]:
    """The status and the answer, without what differs by request."""
    body = answer.get_json()
    del body["meta"]
    return answer.status_code, body


@pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))
@pytest.mark.parametrize(
    ("action", "body"),
    [
        pytest.param(action, body, id=f"{action} {name}")
        for action, bodies in BODIES.items()
        for name, body in (bodies | WRONG).items()
    ],
)
def test_the_answer_is_that_of_the_action_s_own_route(
    api: FixedTimeApi, action: Action, body: Any, caller: dict[str, Any]
) -> None:
    """For every role, and for bodies that are valid, invalid or about an unknown student; the audit entries agree too."""
    first, second = (api.post(path, body, **caller) for path in (OWN_ROUTES[action], f"/door/{action}"))
    assert answered(first) == answered(second)
    entries = [{**entry, "sequence": 0, "correlation_id": ""} for entry in trail(api)]
    assert entries[::2] == entries[1::2]


def test_the_cases_above_differ(api: FixedTimeApi) -> None:
    """They are not refused for the same reason."""
    expected = {"valid": 200, "accepted": 202, "all": 202, "unknown": 404, "invalid": 422, "earlier": 404}
    for action, bodies in BODIES.items():
        for name, body in bodies.items():
            assert api.post(f"/door/{action}", body).status_code == expected[name]
    assert (
        api.post(f"/door/{Action.QUERY_MASTERY}", BODIES[Action.QUERY_MASTERY]["valid"], role=Role.SERVICE).status_code == 403
    )


def test_all_are_tested() -> None:
    """A new use case needs its cases here."""
    assert use_cases().keys() == BODIES.keys() == OWN_ROUTES.keys()
