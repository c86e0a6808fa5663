"""GET /analytics/cohorts/{id} on a stack: the trend and the list of a real worker."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import requests

from app.clock import day_number, system_clock
from tests.classrooms import enrol, fortnights
from tests.integration.conftest import LiveApi
from tests.integration.test_api_at_risk_tasks import TASK_SECONDS
from tests.integration.test_api_calculate import hanging_worker
from tests.stack import wait_for


def live(api: LiveApi, cohort: str = "c-1", headers: dict[str, str] | None = None) -> requests.Response:
    all_headers = api.authorization() | (headers or {})
    return requests.get(f"{api.url}/analytics/cohorts/{cohort}", headers=all_headers, timeout=api.timeout)


def attend(api: LiveApi, students: int) -> list[str]:
    """Let students of c-1 have evidence on each day until yesterday. Returns their ids."""
    return enrol(api.stack.engine, "c-1", students, fortnights, api.tenant, day_number(system_clock()))


def entries(api: LiveApi, action: str = "analytics.cohort") -> list[dict[str, object]]:
    found: list[dict[str, object]] = api.get(f"/audit?action={action}&limit=500").json()["data"]["entries"]
    return found


def test_computed_by_the_worker(live_api: LiveApi) -> None:
    """One task computes trend and list; the next answer is from what is stored, and needs none."""
    attend(live_api, 30)
    wait_for(lambda: live(live_api).status_code == 200, TASK_SECONDS)
    first = live(live_api).json()["data"]
    assert (first["students"], first["at_risk"]["total"], len(first["at_risk"]["students"])) == (30, 30, 10)
    assert (first["trend"]["weeks"][-1]["students"], first["trend"]["sampled"]) == (30, False)
    with hanging_worker(live_api.stack):
        assert live(live_api).json()["data"] == first
        assert live_api.get("/predictions/at-risk?cohort_id=c-1").status_code == 200  # the same list
    by_task = [(each["students"], each["details"]) for each in entries(live_api) if each["channel"] == "task"]
    assert by_task == [(0, {"cohort_id": "c-1", "students": 30}), (30, {"cohort_id": "c-1"})]  # the latest come first
    assert {each["students"] for each in entries(live_api) if each["outcome"] == "done" and each["channel"] == "api"} == {10}
    assert not [each for each in entries(live_api, "predictions.at-risk") if each["channel"] == "task"]


def test_handed_over_on_request(live_api: LiveApi) -> None:
    """``Prefer: respond-async`` returns an address at once; the result there names no students."""
    attend(live_api, 6)
    accepted = live(live_api, headers={"Prefer": "respond-async"})
    assert (accepted.status_code, accepted.headers["Preference-Applied"]) == (202, "respond-async")
    place = accepted.headers["Location"]
    wait_for(lambda: live_api.get(place).json()["data"]["status"] == "succeeded", TASK_SECONDS)
    result = live_api.get(place).json()["data"]["result"]
    found = live(live_api)
    assert (found.status_code, found.json()["data"]["students"]) == (200, 6)
    assert result == {"cohort_id": "c-1", "computed_at": found.json()["data"]["trend"]["computed_at"]}
    assert datetime.fromisoformat(result["computed_at"]).tzinfo


def test_computed_anew_after_a_withdrawal(live_api: LiveApi) -> None:
    """The trend is; the list of students at risk stays: the decision is not about it."""
    first, *_ = attend(live_api, 6)
    wait_for(lambda: live(live_api).status_code == 200, TASK_SECONDS)
    before = live(live_api).json()["data"]
    assert live_api.put(f"/student/{first}/consent", {"cohort_statistics": False}).status_code == 200
    wait_for(lambda: live(live_api).status_code == 200, TASK_SECONDS)
    after = live(live_api).json()["data"]
    assert (before["trend"]["weeks"][-1]["students"], after["trend"]["weeks"][-1]["students"]) == (6, 5)
    assert after["at_risk"]["computed_at"] == before["at_risk"]["computed_at"]


def test_a_stampede_computes_once(live_api: LiveApi) -> None:
    """Twenty callers at the same time, and each gets the same trend."""
    attend(live_api, 50)

    def get(_number: int) -> str:
        wait_for(lambda: live(live_api).status_code == 200, TASK_SECONDS)
        moment: str = live(live_api).json()["data"]["trend"]["computed_at"]
        return moment

    with ThreadPoolExecutor(20) as callers:
        assert len(set(callers.map(get, range(20)))) == 1
    assert len([each for each in entries(live_api) if each["channel"] == "task"]) == 2  # the list, and the trend


def test_nobody_with_retained_evidence(live_api: LiveApi) -> None:
    """The task finds nobody in a cohort that is still ranked."""
    day = day_number(system_clock()) - 100
    enrol(live_api.stack.engine, "old", 1, fortnights, live_api.tenant, day)
    wait_for(lambda: live(live_api, "old").status_code != 202, TASK_SECONDS)
    answer = live(live_api, "old")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No students with evidence in this cohort.")
