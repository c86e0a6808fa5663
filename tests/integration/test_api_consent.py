"""GET and PUT /student/{id}/consent, for every role."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.consent import ConsentChange, PurposeStates
from app.config.settings import Settings
from app.errors import ConsentWithdrawn
from app.predictions.current_forecast import current_forecast
from app.purposes import Purpose
from app.roles import Role
from tests.conftest import NOW
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi, api_with
from tests.learning_events import activity, quiz

SELF: dict[str, Any] = {"role": Role.STUDENT, "subject": "s-1"}
ADMIN: dict[str, Any] = {"role": Role.ADMIN, "subject": "ada"}
UNDECIDED = {"given": True, "at": None, "role": None, "who": None}
AT = "2026-10-28T12:00:00.000Z"


def get(api: FixedTimeApi, student: str = "s-1", **caller: Any) -> TestResponse:
    return api.call(f"/student/{student}/consent", method="GET", **(caller or SELF))


def put(api: FixedTimeApi, body: Any, student: str = "s-1", **caller: Any) -> TestResponse:
    return api.call(f"/student/{student}/consent", body, method="PUT", **(caller or SELF))


def data(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def pseudonym(api: FixedTimeApi) -> str:
    return api.engine.audit.pseudonym("t-1", "s-1")


def test_the_schemas_have_every_purpose() -> None:
    """A new one needs its fields."""
    assert {*ConsentChange().fields} == {*PurposeStates().fields} == {*Purpose}


def test_a_student_decides_before_the_first_evidence(api: FixedTimeApi) -> None:
    """By default everything is allowed; a decision has its time and author."""
    assert data(get(api)) == {"student_id": "s-1", "purposes": dict.fromkeys(Purpose, UNDECIDED), "history": []}
    withdrawn = {"given": False, "at": AT, "role": "student", "who": pseudonym(api)}
    expected = {"student_id": "s-1", "purposes": dict.fromkeys(Purpose, UNDECIDED) | {"predictions": withdrawn}}
    assert data(put(api, {"predictions": False})) == expected
    assert data(get(api)) == expected | {"history": [{"purpose": "predictions", **withdrawn}]}


def test_an_admin_decides_for_a_student(api: FixedTimeApi) -> None:
    """Once there is evidence or a decision; the history says who decided what, the newest first."""
    for answer in (get(api, **ADMIN), put(api, {"predictions": False}, **ADMIN)):
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "NOT_FOUND")
    put(api, {"predictions": False})
    api.record(quiz(student_id="s-2"))
    assert data(get(api, "s-2", **ADMIN))["history"] == []
    state = data(put(api, {"predictions": True, "cohort_statistics": False}, **ADMIN))["purposes"]
    by_admin = {"at": AT, "role": "admin", "who": "ada"}
    assert (state["predictions"], state["cohort_statistics"]) == ({"given": True, **by_admin}, {"given": False, **by_admin})
    assert [(each["purpose"], each["given"], each["who"]) for each in data(get(api, **ADMIN))["history"]] == [
        ("cohort_statistics", False, "ada"),
        ("predictions", True, "ada"),
        ("predictions", False, pseudonym(api)),
    ]


def test_the_same_again_changes_nothing(api: FixedTimeApi) -> None:
    """The first author stays."""
    first = data(put(api, {"predictions": False, "recommendations": True}))
    for body in ({"predictions": False}, {"recommendations": True, "predictions": False}):
        assert data(put(api, body, **ADMIN)) == first
    assert len(data(get(api))["history"]) == 2


@pytest.mark.parametrize(
    ("caller", "student"),
    [
        ({"role": Role.STUDENT, "subject": "s-2"}, "s-1"),
        ({"role": Role.TEACHER, "cohorts": ("c-1",)}, "s-1"),
        ({"role": Role.TEACHER, "cohorts": ("c-1",), "subject": "s-1"}, "s-1"),
        ({"role": Role.SERVICE, "subject": "s-1"}, "s-1"),
        ({"role": Role.STUDENT, "subject": "s-2"}, "s-none"),
        ({"role": Role.TEACHER, "cohorts": ("c-1",)}, "s-none"),
        ({"role": Role.SERVICE}, "s-none"),
    ],
)
def test_others_may_neither_see_nor_change_it(api: FixedTimeApi, caller: dict[str, Any], student: str) -> None:
    """Other students, teachers and services get 403, whether the student exists or not; nothing is stored."""
    api.record(quiz(cohort_id="c-1"))
    for answer in (get(api, student, **caller), put(api, {"predictions": False}, student, **caller)):
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "FORBIDDEN")
    assert api.engine.consents.read("t-1", student).history == []


def test_tenants_do_not_mix(api: FixedTimeApi) -> None:
    """The same student id elsewhere is another student."""
    put(api, {"predictions": False})
    assert data(get(api, tenant="t-2", **SELF))["history"] == []
    assert get(api, tenant="t-2", **ADMIN).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"research": True}, "research"),
        ({"predictions": 1}, "predictions"),
        ({"predictions": "false"}, "predictions"),
        ({"predictions": None}, "predictions"),
        ({"predictions": False, "": True}, "body"),
        ([], "body"),
        ({}, "body"),
    ],
)
def test_invalid_bodies_change_nothing(api: FixedTimeApi, body: Any, field: str) -> None:
    """422 with the field; also for purposes beside it that exist."""
    answer = put(api, body)
    assert (answer.status_code, set(answer.get_json()["error"]["details"])) == (422, {field})
    assert data(get(api))["history"] == []


def test_a_decision_needs_a_purpose(api: FixedTimeApi) -> None:
    """The error names those that there are. A path without a valid id stays a 404."""
    error = put(api, {}).get_json()["error"]
    assert error["details"] == {
        "body": ["Give true or false for at least one of predictions, recommendations, cohort_statistics."]
    }
    assert [put(api, {}, path).status_code for path in ("s%2F1", "s.1")] == [404, 404]


def test_requests_are_in_the_audit_trail(api: FixedTimeApi) -> None:
    """With whose consent it is, and what was asked for; denials too."""
    put(api, {"predictions": False, "cohort_statistics": True})
    get(api, **ADMIN)
    put(api, {"predictions": True}, **{**SELF, "subject": "s-2"})
    put(api, {"predictions": True}, "s-9", **ADMIN)
    assert [(each["action"], each["outcome"], each.get("details", {})) for each in trail(api)] == [
        ("consent.change", "done", {"predictions": False, "cohort_statistics": True}),
        ("consent.read", "done", {}),
        ("consent.change", "denied", {}),
        ("consent.change", "not_found", {}),
    ]
    first, second, third, _fourth = trail(api)
    assert first["whose"] == second["whose"] == third["whose"] == [pseudonym(api)] == [first["who"]]


def test_purposes_that_need_a_recorded_consent(settings: Settings) -> None:
    """An operator's setting: without a decision they are not allowed."""
    with api_with(settings, consent_required="predictions") as api:
        assert {name: each["given"] for name, each in data(get(api))["purposes"].items()} == {
            "predictions": False,
            "recommendations": True,
            "cohort_statistics": True,
        }
        assert data(put(api, {"predictions": True}))["purposes"]["predictions"]["given"]


def test_a_later_change_has_its_own_time(api: FixedTimeApi) -> None:
    """The other purposes keep theirs."""
    put(api, {"predictions": False, "recommendations": False})
    later = replace(api.engine, clock=lambda: NOW + timedelta(days=1, milliseconds=5))
    purposes = data(put(FixedTimeApi(later), {"predictions": True}))["purposes"]
    assert (purposes["predictions"]["at"], purposes["recommendations"]["at"]) == ("2026-10-29T12:00:00.005Z", AT)


def test_forecasts_go_with_the_consent(api: FixedTimeApi) -> None:
    """The stored one, and those that wait to be scored, at once; another decision leaves them."""
    api.record(quiz(), activity(timestamp="2026-10-20T09:00:00Z"))
    current_forecast("t-1", "s-1", using=api.engine.forecasting, now=NOW)
    (day,) = api.engine.forecast_records.days("t-1")
    for purpose, left in (("recommendations", ["s-1"]), ("predictions", [])):
        put(api, {purpose: False})
        assert list(api.engine.forecast_records.some("t-1", day, 10)) == left
        assert (api.engine.forecasts.read("t-1", "s-1").entry is not None) == (left != [])


def test_withdrawn_consent_is_an_error_of_its_own(api: FixedTimeApi) -> None:
    """403 with the code CONSENT_WITHDRAWN, which later routes raise."""
    app = api.client.application
    with app.test_request_context("/"):
        app.preprocess_request()
        answer = app.make_response(app.handle_user_exception(ConsentWithdrawn(Purpose.COHORT_STATISTICS)))
    assert answer.status_code == 403
    error = answer.get_json()["error"]
    assert (error["code"], error["message"]) == ("CONSENT_WITHDRAWN", "The student has not consented to cohort statistics.")
