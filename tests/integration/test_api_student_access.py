"""Who may ask for what the engine says of a student; every route about one student behaves alike."""

from typing import Any

import pytest

from app.analytics.publish_statistics import publish_statistics
from app.clock import day_number
from app.predictions.current_forecast import current_forecast
from app.roles import Role
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import activity, completion, quiz

STUDENT = {"student_id": "s-1"}
SELF: dict[str, Any] = {"role": Role.STUDENT, "subject": "s-1"}
# The action of each route, and the purpose that students can refuse; without one, what their mastery is made of.
ROUTES: dict[str, tuple[str, str | None]] = {
    "/predictions/next-week": ("predictions.next-week", "predictions"),
    "/predictions/trajectory": ("predictions.trajectory", "predictions"),
    "/recommendations/adaptive": ("recommendations.adaptive", "recommendations"),
    "/recommendations/learning-path": ("recommendations.learning-path", "recommendations"),
    "/analytics/mastery-history": ("analytics.mastery-history", None),
    "/analytics/changes": ("analytics.changes", None),
    "/analytics/compare": ("analytics.compare", "cohort_statistics"),
}
# What a body needs beside the student.
FURTHER = {
    "/analytics/mastery-history": {"start_date": "2026-10-20", "end_date": "2026-10-28"},
    "/analytics/changes": {"since": "2026-10-20"},
}
on_each = pytest.mark.parametrize("path", ROUTES)


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With facts of s-1 and four others in c-1, and what workers would have stored: a forecast, and statistics of c-1.

    It is 2026-10-28.
    """
    api.record(activity(timestamp="2026-10-15T08:00:00Z"), completion(), quiz())
    api.record(*(quiz(student_id=f"s-c{number}") for number in range(4)))
    engine, now = api.engine, api.engine.clock()
    current_forecast("t-1", "s-1", using=engine.forecasting, now=now)
    list(publish_statistics("t-1", stores=engine.mastery, published=engine.published, today=day_number(now)))
    return api


@on_each
@pytest.mark.parametrize("caller", [SELF, {"role": Role.TEACHER, "cohorts": ("c-0", "c-1")}, {"role": Role.ADMIN}])
def test_who_may_ask(api: FixedTimeApi, path: str, caller: dict[str, Any]) -> None:
    """The student, a teacher of the cohort, and an admin; the audit trail has it, with the student's pseudonym."""
    action, _ = ROUTES[path]
    assert api.post(path, STUDENT | FURTHER.get(path, {}), **caller).status_code == 200
    (entry,) = trail(api)
    assert (entry["action"], entry["outcome"]) == (action, "done")
    assert entry["whose"] == [api.engine.audit.pseudonym("t-1", "s-1")]


@on_each
@pytest.mark.parametrize(
    "caller",
    [
        {"role": Role.STUDENT, "subject": "s-2"},
        {"role": Role.TEACHER, "cohorts": ("c-2",)},
        {"role": Role.TEACHER, "subject": "s-1"},
        {"role": Role.SERVICE, "subject": "s-1"},
        {"role": Role.TEACHER, "cohorts": ("c-1",), "tenant": "t-2"},
    ],
)
def test_who_may_not(api: FixedTimeApi, path: str, caller: dict[str, Any]) -> None:
    """Others get the same 403 whether the student exists or not, also if consent is withdrawn."""
    purpose, body = ROUTES[path][1] or "predictions", STUDENT | FURTHER.get(path, {})
    known, unknown = api.post(path, body, **caller), api.post(path, body | {"student_id": "s-nobody"}, **caller)
    assert api.call("/student/s-1/consent", {purpose: False}, method="PUT", **SELF).status_code == 200
    withdrawn = api.post(path, body, **caller)
    assert [each.status_code for each in (known, unknown, withdrawn)] == [403] * 3
    assert known.get_json()["error"] == unknown.get_json()["error"] == withdrawn.get_json()["error"]
    assert known.get_json()["error"]["code"] == "FORBIDDEN"
