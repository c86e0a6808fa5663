"""GET /analytics/cohorts and /analytics/cohorts/{id}: who sees which cohorts, pages, and what is told of one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.analytics.cohort_report import TOO_FEW, prepare_report
from app.roles import Role
from tests.conftest import NOW
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import activity, quiz

PATH = "/analytics/cohorts"
TEACHER: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1", "c-3", "c-9")}
LEVELS = {"beginner": 0, "developing": 0, "competent": 0, "proficient": 0, "expert": 0}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With five students of c-1, four of c-2, five of c-3. It is 2026-10-28; all evidence is of 2026-10-10.

    A quiz with n right answers of 10 gives 0.03·n: 0 to 0.12 in c-1, 0.12 in c-2, 0.3 in c-3.
    """
    right = {"c-1": [0, 1, 2, 3, 4], "c-2": [4] * 4, "c-3": [10] * 5}
    for cohort, answers in right.items():
        api.record(
            *(
                quiz(student_id=f"{cohort}-{at}", cohort_id=cohort, timestamp="2026-10-10T09:00:00Z", correct_answers=number)
                for at, number in enumerate(answers)
            )
        )
    return api


def prepare(api: FixedTimeApi, cohort: str = "c-1") -> None:
    """Compute and store what a report reads, as the worker does."""
    ignore, now = lambda _students: None, api.engine.clock()
    prepare_report("t-1", cohort, using=api.engine.reporting, now=now, note_listed=ignore, note_trend=ignore)


def told(api: FixedTimeApi, path: str = "", **caller: Any) -> dict[str, Any]:
    answer = api.call(PATH + path, method="GET", **caller)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.get_json()["data"]
    return data


def refusal(api: FixedTimeApi, path: str, **caller: Any) -> tuple[int, str, str]:
    answer = api.call(PATH + path, method="GET", **caller)
    error = answer.get_json()["error"]
    return answer.status_code, error["code"], error["message"]


def withdraw(api: FixedTimeApi, student: str, purpose: str = "cohort_statistics") -> None:
    assert api.call(f"/student/{student}/consent", {purpose: False}, method="PUT").status_code == 200


def test_the_cohorts_of_a_tenant(api: FixedTimeApi) -> None:
    """By name, with mean and levels; of four students neither."""
    assert told(api) == {
        "date": "2026-10-28",
        "cohorts": [
            {"cohort_id": "c-1", "students": 5, "mean": 0.06, "levels": LEVELS | {"beginner": 5}},
            {"cohort_id": "c-2", "students": 4, "mean": None, "levels": None},
            {"cohort_id": "c-3", "students": 5, "mean": 0.3, "levels": LEVELS | {"beginner": 5}},
        ],
        "next": None,
    }


def test_the_cohorts_of_a_teacher(api: FixedTimeApi) -> None:
    """Only those of the token that have students."""
    assert [each["cohort_id"] for each in told(api, **TEACHER)["cohorts"]] == ["c-1", "c-3"]
    page = told(api, "?limit=1", **TEACHER)
    assert ([each["cohort_id"] for each in page["cohorts"]], page["next"]) == (["c-1"], "c-1")
    page = told(api, "?limit=1&cursor=c-1", **TEACHER)
    assert ([each["cohort_id"] for each in page["cohorts"]], page["next"]) == (["c-3"], None)
    assert told(api, role=Role.TEACHER)["cohorts"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_paging(api: FixedTimeApi, limit: int) -> None:
    """Each cohort once, in the order of the names."""
    seen, cursor = [], ""
    while True:
        page = told(api, f"?limit={limit}{cursor}")
        assert len(page["cohorts"]) <= limit
        seen += [each["cohort_id"] for each in page["cohorts"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["c-1", "c-2", "c-3"]


def test_no_cohorts(api: FixedTimeApi) -> None:
    """A tenant without students has none, and no day."""
    assert told(api, tenant="t-2") == {"date": None, "cohorts": [], "next": None}


@pytest.mark.parametrize("query", ["?limit=0", "?limit=101", "?limit=x", "?cursor=", "?cursor=c%201", "?cohort_id=c-1"])
def test_invalid_fields(api: FixedTimeApi, query: str) -> None:
    """422 with the field's name."""
    answer = api.call(PATH + query, method="GET")
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [query[1:].partition("=")[0]])


@pytest.mark.parametrize("query", ["?cohort_id=c-1", "?limit=5"])
def test_a_cohort_has_no_parameters(api: FixedTimeApi, query: str) -> None:
    """They would be ignored otherwise."""
    prepare(api)
    answer = api.call(f"{PATH}/c-1{query}", method="GET")
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [query[1:].partition("=")[0]])


def test_who_withdraws_is_not_counted(api: FixedTimeApi) -> None:
    """At once: four are too few for statistics, in the list and in the report."""
    prepare(api)
    withdraw(api, "c-1-0")
    assert told(api)["cohorts"][0] == {"cohort_id": "c-1", "students": 4, "mean": None, "levels": None}
    prepare(api)
    found = told(api, "/c-1")
    assert {found[name] for name in ("statistics", "levels", "histogram")} == {None}
    assert (found["students"], found["note"], len(found["at_risk"]["students"])) == (4, TOO_FEW, 5)
    assert {each["mean"] for each in found["trend"]["weeks"]} == {None}


@pytest.mark.parametrize("caller", [{}, TEACHER])
def test_a_cohort(api: FixedTimeApi, caller: dict[str, Any]) -> None:
    """For admins and its teacher."""
    prepare(api)
    found = told(api, "/c-1", **caller)
    at_risk = api.call("/predictions/at-risk?cohort_id=c-1&limit=10", method="GET").get_json()["data"]
    assert found.pop("at_risk") == {name: at_risk[name] for name in at_risk if name not in {"cohort_id", "next"}}
    weeks = found["trend"].pop("weeks")
    assert found == {
        "cohort_id": "c-1",
        "date": "2026-10-28",
        "students": 5,
        "statistics": {
            "students": 5,
            "mean": 0.06,
            "median": 0.06,
            "lower_quartile": 0.03,
            "upper_quartile": 0.09,
            "standard_deviation": 0.042426,
        },
        "levels": LEVELS | {"beginner": 5},
        "histogram": [{"lower": at / 10, "upper": (at + 1) / 10, "students": {0: 4, 1: 1}.get(at, 0)} for at in range(10)],
        "trend": {"computed_at": "2026-10-28T12:00:00.000Z", "sampled": False},
        "note": None,
    }
    assert len(weeks) == 13
    assert weeks[-5:] == [
        {"week": "2026-W40", "date": "2026-10-04", "mean": None, "students": 0},
        *(
            {"week": f"2026-W{week}", "date": day, "mean": 0.06, "students": 5}
            for week, day in ((41, "2026-10-11"), (42, "2026-10-18"), (43, "2026-10-25"), (44, "2026-10-28"))
        ),
    ]


def test_only_the_first_who_need_help(api: FixedTimeApi) -> None:
    """Ten of the list, whose total says how many there are."""
    api.record(*(activity(student_id=f"more-{at}", timestamp="2026-10-27T09:00:00Z") for at in range(8)))
    prepare(api)
    found = told(api, "/c-1")["at_risk"]
    assert (len(found["students"]), found["total"]) == (10, 13)


def test_who_refuses_predictions_is_not_in_the_list(api: FixedTimeApi) -> None:
    """But in the statistics; if nobody allows them, the list is empty."""
    prepare(api)
    for number in range(5):
        withdraw(api, f"c-1-{number}", "predictions")
    found = told(api, "/c-1")
    assert (found["at_risk"]["students"], found["students"]) == ([], 5)


def test_who_may_not(api: FixedTimeApi) -> None:
    """Students, and teachers of other cohorts: 403, whether the cohort exists or not. Another tenant has no such cohort."""
    prepare(api)
    student: dict[str, Any] = {"role": Role.STUDENT, "subject": "c-1-0"}
    assert refusal(api, "", **student)[:2] == refusal(api, "/c-1", **student)[:2] == (403, "FORBIDDEN")
    other = refusal(api, "/c-2", **TEACHER)
    assert other == refusal(api, "/c-8", **TEACHER) == (403, "FORBIDDEN", "You may not see this cohort.")
    assert refusal(api, "/c-1", role=Role.SERVICE)[0] == 403
    assert refusal(api, "/c-1", tenant="t-2")[:2] == (404, "NOT_FOUND")
    assert told(api, tenant="t-2")["cohorts"] == []


def test_a_cohort_without_students(api: FixedTimeApi) -> None:
    """404, for its teacher too; a path that is no id has no route."""
    expected = (404, "NOT_FOUND", "No students with evidence in this cohort.")
    assert refusal(api, "/c-9", **TEACHER) == refusal(api, "/c-8") == expected
    assert refusal(api, "/c%208")[0] == 404


def test_before_the_refresh_after_midnight(api: FixedTimeApi) -> None:
    """The day of the scores is told."""
    later = FixedTimeApi(replace(api.engine, clock=lambda: NOW + timedelta(days=1)))
    prepare(later)
    found = told(later, "/c-1")
    assert (found["date"], found["trend"]["weeks"][-1]["date"]) == ("2026-10-28", "2026-10-29")
    assert found["note"] == "The refresh after midnight has not ended: scores may still be of 2026-10-28."
    assert told(later)["date"] == "2026-10-28"


def test_the_audit_trail(api: FixedTimeApi) -> None:
    """Has the students who are shown, and of the list of cohorts nobody."""
    prepare(api)
    told(api)
    shown = [each["student_id"] for each in told(api, "/c-1", **TEACHER)["at_risk"]["students"]]
    refusal(api, "/c-1", role=Role.TEACHER)
    pseudonyms = [api.engine.audit.pseudonym("t-1", student) for student in shown]
    found = [(each["action"], each["outcome"], each.get("whose"), each.get("details")) for each in trail(api)]
    assert found == [
        ("analytics.cohorts", "done", None, None),
        ("analytics.cohort", "done", pseudonyms, {"cohort_id": "c-1"}),
        ("analytics.cohort", "denied", None, {"cohort_id": "c-1"}),
    ]
