"""GET /predictions/at-risk on a stack: the list of a real worker."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from app.clock import day_number, system_clock
from app.events.event import decode_event
from app.events.record_events import record_events
from tests.classrooms import enrol, fortnights
from tests.integration.conftest import LiveApi
from tests.integration.test_api_calculate import hanging_worker
from tests.learning_events import activity
from tests.stack import wait_for

PATH = "/predictions/at-risk"
TASK_SECONDS = 20.0


def live(api: LiveApi, query: str = "", cohort: str = "c-1", headers: dict[str, str] | None = None) -> requests.Response:
    all_headers = api.authorization() | (headers or {})
    return requests.get(f"{api.url}{PATH}?cohort_id={cohort}{query}", headers=all_headers, timeout=api.timeout)


@pytest.fixture
def classroom(live_api: LiveApi) -> Callable[[int], list[str]]:
    """A function that records events of students of c-1, and returns their ids."""

    def record(students: int) -> list[str]:
        now, ids = datetime.now(UTC), [f"s-{number}" for number in range(students)]
        events = [
            {**activity(student_id=student, tenant_id=live_api.tenant, timestamp=(now - timedelta(days=at % 20)).isoformat())}
            for at, student in enumerate(ids)
        ]
        decoded = [decode_event(json.dumps(event).encode(), now) for event in events]
        record_events(decoded, stores=live_api.stack.engine.mastery, now=now)
        return ids

    return record


def tasks(api: LiveApi) -> int:
    entries = api.get("/audit?action=predictions.at-risk&limit=500").json()["data"]["entries"]
    return sum(each["channel"] == "task" for each in entries)


def test_computed_by_the_worker(live_api: LiveApi, classroom: Callable[[int], list[str]]) -> None:
    """The first answer waits for the task (busy cores: repeated); the next one is from the stored list, and needs none."""
    ids = classroom(30)
    wait_for(lambda: live(live_api).status_code == 200, TASK_SECONDS)
    first = live(live_api, "&limit=100")
    assert sorted(each["student_id"] for each in first.json()["data"]["students"]) == sorted(ids)
    with hanging_worker(live_api.stack):
        assert live(live_api, "&limit=100").json()["data"] == first.json()["data"]
    entries = live_api.get("/audit?action=predictions.at-risk").json()["data"]["entries"]
    assert [each["students"] for each in entries if each["channel"] == "task"] == [30]
    assert [each["students"] for each in entries if each["channel"] == "api"][:2] == [30, 30]  # the latest come first
    assert {each["details"].get("asked_by") for each in entries} == {None}


def test_handed_over_on_request(live_api: LiveApi, classroom: Callable[[int], list[str]]) -> None:
    """``Prefer: respond-async`` returns an address at once; the result there has no students, and the repeated request has."""
    classroom(3)
    accepted = live(live_api, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    place = accepted.headers["Location"]
    wait_for(lambda: live_api.get(place).json()["data"]["status"] == "succeeded", TASK_SECONDS)
    result = live_api.get(place).json()["data"]["result"]
    found = live(live_api).json()["data"]
    assert result == {name: found[name] for name in ("cohort_id", "computed_at", "model", "model_version", "total")}
    assert len(found["students"]) == 3
    assert "s-" not in live_api.get(place).text.replace(result["cohort_id"], "")


def test_a_stampede_computes_once(live_api: LiveApi, classroom: Callable[[int], list[str]]) -> None:
    """Twenty callers at the same time, and each gets the same list."""
    classroom(100)

    def get(_number: int) -> str:
        wait_for(lambda: live(live_api).status_code == 200, TASK_SECONDS)
        moment: str = live(live_api).json()["data"]["computed_at"]
        return moment

    with ThreadPoolExecutor(20) as callers:
        assert len(set(callers.map(get, range(20)))) == 1
    assert tasks(live_api) == 1


def test_nobody_with_retained_evidence(live_api: LiveApi) -> None:
    """The task finds nobody in a cohort that is still ranked."""
    day = day_number(system_clock()) - 100
    enrol(live_api.stack.engine, "old", 1, fortnights, live_api.tenant, day)
    wait_for(lambda: live(live_api, cohort="old").status_code != 202, TASK_SECONDS)
    answer = live(live_api, cohort="old")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No students with evidence in this cohort.")
