"""GET /student/{id}/export, for every role and in both formats."""

import csv
import io
import json
import tracemalloc
from hashlib import sha256
from random import random
from typing import Any
from zipfile import ZipFile

import pytest
import requests
from werkzeug.test import TestResponse

from app.batches.batch import BatchKey, BatchOrder, Item
from app.batches.batch_kinds import Row
from app.clock import day_number
from app.config.settings import Settings
from app.consent.change_consent import change_consent
from app.consent.consent import Author
from app.mastery.formula import DEFAULT_WEIGHTS
from app.predictions.current_forecast import current_forecast
from app.purposes import Purpose
from app.roles import Role
from tests.batch_tasks import run_tasks
from tests.conftest import NOW
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi, LiveApi, api_with, assert_refused
from tests.integration.test_erasure import events, send
from tests.learning_events import activity, completion, quality, quiz

SELF: dict[str, Any] = {"role": Role.STUDENT, "subject": "s-1"}
ADMIN: dict[str, Any] = {"role": Role.ADMIN, "subject": "ms-ada"}
ZIP = {"Accept": "application/zip"}
# Whatever belongs to others: students, a teacher, an admin, the cohort of another. No hash and no time contains them.
OTHERS = ("s-10", "s-2", "chen", "ms-ada", "c-other")


def get(api: FixedTimeApi, student: str = "s-1", headers: dict[str, str] | None = None, **caller: Any) -> TestResponse:
    return api.call(f"/student/{student}/export", method="GET", headers=headers, **(caller or SELF))


def data(answer: TestResponse) -> dict[str, Any]:
    assert (answer.status_code, answer.mimetype) == (200, "application/json"), answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def fill(api: FixedTimeApi) -> None:
    """Give s-1 and others facts, decisions, results of batches and forecasts."""
    api.record(completion(), quiz(), quality(), activity(), quiz(timestamp="2026-10-20T09:00:00+00:00", correct_answers=3))
    api.record(quiz(student_id="s-10", cohort_id="c-other"), quiz(student_id="s-2"), quiz(tenant_id="t-2", cohort_id="c-other"))
    for student, tenant in (("s-1", "t-1"), ("s-2", "t-1"), ("s-1", "t-2")):
        decided = {Purpose.PREDICTIONS: student == "s-1" and tenant == "t-1"}
        change_consent(tenant, student, decided, Author("admin", "ms-ada"), consents=api.engine.consents, now=NOW)
    compute(api, BatchKey("t-1", "b-chen"), "s-2", "s-1", "s-10")
    compute(api, BatchKey("t-2", "b-chen"), "s-1")
    for student in ("s-1", "s-10"):
        current_forecast("t-1", student, using=api.engine.forecasting, now=NOW)


def compute(api: FixedTimeApi, key: BatchKey, *students: str) -> None:
    order, engine = BatchOrder(day=day_number(NOW), weights=DEFAULT_WEIGHTS, owner="teacher:chen"), api.engine
    engine.batches.create(key, order, b"", NOW, items=[Item(student) for student in students])
    run_tasks(engine, key)


def test_it_has_what_the_query_says(api: FixedTimeApi) -> None:
    """Score, cohort and evidence; the result of the batch is that of the query too."""
    fill(api)
    kinds = data(get(api))["kinds"]
    query = api.post("/mastery/query", {"student_id": "s-1"}).get_json()["data"]
    (standing,), days, (result,) = kinds["standing"]["rows"], kinds["days"]["rows"], kinds["batch_results"]["rows"]
    assert (standing["mastery"], standing["cohort_id"], standing["mastery_day"]) == (query["score"], "c-1", query["date"])
    assert standing["counted_events"] == 5
    assert [day["day"] for day in days] == ["2026-10-20", "2026-10-27"]
    correct, asked = (sum(day[name] for day in days) for name in ("correct_answers", "questions"))
    assert (correct, asked, correct / asked) == (11, 20, query["components"]["quiz"])
    latest = days[-1]
    assert latest["completed_exercises"] / latest["total_exercises"] == query["components"]["completion"]
    assert latest["quality_millionths"] / latest["submissions"] / 1e6 == query["components"]["quality"]
    assert {name: result[name] for name in ("score", "level", "coverage", "trend", "cohort_id", "date")} == {
        name: query[name] for name in ("score", "level", "coverage", "trend", "cohort_id", "date")
    }
    (decision,) = kinds["consent"]["rows"]
    assert decision == {"purpose": "predictions", "given": True, "at": "2026-10-28T12:00:00Z", "role": "admin"}


def test_each_kind_explains_its_columns(api: FixedTimeApi) -> None:
    """Each row has all of them, and no other."""
    fill(api)
    kinds = data(get(api))["kinds"]
    assert kinds.keys() == api.engine.exported_data.keys()
    assert all(kind["rows"] and kind["description"] for kind in kinds.values())
    assert all(row.keys() == kind["columns"].keys() for kind in kinds.values() for row in kind["rows"])


def test_the_archive_has_the_same_data(api: FixedTimeApi) -> None:
    """A CSV file for each kind, and a file name for browsers."""
    fill(api)
    kinds, answer = data(get(api))["kinds"], get(api, headers=ZIP)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="s-1.zip"'
    with ZipFile(io.BytesIO(answer.data)) as archive:
        for name, kind in kinds.items():
            text = io.StringIO(archive.read(f"{name}.csv").decode(), newline="")
            shown = [{column: written(row[column]) for column in row} for row in kind["rows"]]
            assert list(csv.DictReader(text, strict=True)) == shown


def written(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def test_nothing_of_others_is_in_it(api: FixedTimeApi) -> None:
    """Neither of students with similar ids, nor of another tenant, nor the name of a teacher or an admin."""
    fill(api)
    archive = ZipFile(io.BytesIO(get(api, headers=ZIP).data))
    texts = [json.dumps(data(get(api))), *(archive.read(name).decode() for name in archive.namelist())]
    assert [other for other in OTHERS for text in texts if other in text] == []
    assert data(get(api))["kinds"] == data(get(api, **ADMIN))["kinds"] != data(get(api, tenant="t-2", **SELF))["kinds"]


def test_the_hash_is_that_of_the_data(api: FixedTimeApi) -> None:
    """Another one once there is new evidence."""
    fill(api)
    told = data(get(api))
    text = json.dumps({name: told[name] for name in told if name != "sha256"}, sort_keys=True, separators=(",", ":"))
    assert told["sha256"] == sha256(text.encode()).hexdigest()
    assert told["sha256"] == data(get(api))["sha256"]
    api.record(quiz())
    assert told["sha256"] != data(get(api))["sha256"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html", "application/json, application/zip;q=0.5", ""])
def test_json_is_the_default(api: FixedTimeApi, accept: str) -> None:
    """The archive has to be preferred."""
    api.record(quiz())
    assert get(api, headers={"Accept": accept}).mimetype == "application/json"


@pytest.mark.parametrize("student", ["s-1", "s-none"])
@pytest.mark.parametrize(
    "caller",
    [
        {"role": Role.STUDENT, "subject": "s-2"},
        {"role": Role.TEACHER, "subject": "chen", "cohorts": ("c-1",)},
        {"role": Role.SERVICE, "subject": "s-1"},
    ],
)
def test_others_may_not(api: FixedTimeApi, caller: dict[str, Any], student: str) -> None:
    """403 for other students, teachers and services, whether the student exists or not, and whatever they accept."""
    fill(api)
    for headers in ({}, ZIP):
        answer = get(api, student, headers, **caller)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("headers", [{}, ZIP])
def test_a_student_of_whom_nothing_is_stored(api: FixedTimeApi, headers: dict[str, str]) -> None:
    """404, also for themselves, and for the student of another tenant."""
    fill(api)
    answers = [
        get(api, "s-none", headers, **ADMIN),
        get(api, "s-none", headers, role=Role.STUDENT, subject="s-none"),
        get(api, "s-2", headers, tenant="t-2", **ADMIN),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3


def test_a_student_with_a_decision_only_or_a_result_only(api: FixedTimeApi) -> None:
    """Is known."""
    change_consent("t-1", "s-1", {Purpose.PREDICTIONS: False}, Author("student", "x"), consents=api.engine.consents, now=NOW)
    compute(api, BatchKey("t-1", "b-1"), "s-2")
    assert [len(kind["rows"]) for kind in data(get(api))["kinds"].values()] == [0, 1, 0, 0, 0]
    assert [len(kind["rows"]) for kind in data(get(api, "s-2", **ADMIN))["kinds"].values()] == [1, 0, 0, 0, 0]


def test_it_has_a_limit_of_its_own(settings: Settings) -> None:
    """For each caller; other requests do not count."""
    with api_with(settings, ratelimit_export="2/hour") as api:
        api.record(quiz())
        for _ in range(3):
            api.post("/mastery/query", {"student_id": "s-1"}, **SELF)
        assert [get(api).status_code, get(api, headers=ZIP).status_code] == [200, 200]
        assert_refused(get(api), "2 per hour")
        assert api.post("/mastery/query", {"student_id": "s-1"}, **SELF).status_code == 200
        assert get(api, **ADMIN).status_code == 200


def test_requests_are_in_the_audit_trail(api: FixedTimeApi) -> None:
    """With whose data it was; denials too."""
    api.record(quiz())
    get(api)
    get(api, headers=ZIP, **ADMIN)
    get(api, role=Role.STUDENT, subject="s-2")
    assert [(each["action"], each["outcome"]) for each in trail(api)] == [
        ("student.export", "done"),
        ("student.export", "done"),
        ("student.export", "denied"),
    ]
    assert {*map(str, (each["whose"] for each in trail(api)))} == {str([api.engine.audit.pseudonym("t-1", "s-1")])}


@pytest.mark.parametrize("headers", [{}, ZIP])
def test_a_large_export_streams(api: FixedTimeApi, headers: dict[str, str]) -> None:
    """20,000 results, 6 MB of JSON, take less than 4 MB of memory."""
    api.record(quiz())
    order = BatchOrder(day=day_number(NOW), weights=DEFAULT_WEIGHTS, owner="admin:a")
    key = BatchKey("t-1", "b-1")
    api.engine.batches.create(key, order, b"", NOW, items=[Item("s-1")] * 20_000)
    while (taken := api.engine.batches.take(key, "task")).items:
        rows = [Row("s-1", score=random(), historical_average=random(), trend="stable") for _ in taken.items]
        api.engine.batches.store(key, "task", taken.number, rows)
    get(api)  # what is read once
    tracemalloc.start()
    answer = get(api, headers=headers)
    size = sum(map(len, answer.iter_encoded()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > (100_000 if headers else 5_000_000)
    assert peak < 4_000_000


def test_on_a_whole_stack(live_api: LiveApi) -> None:
    """It arrives complete over HTTP, in parts, in both formats."""
    send(live_api, *events("s-1", correct_answers=7))
    answer = live_api.get("/student/s-1/export", **SELF)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    (standing,) = answer.json()["data"]["kinds"]["standing"]["rows"]
    assert standing["mastery"] == live_api.post("/mastery/query", {"student_id": "s-1"}).json()["data"]["score"]
    assert answer.json()["meta"]["correlation_id"] == answer.headers["X-Correlation-ID"]
    headers = live_api.authorization(**SELF) | ZIP
    archive = requests.get(f"{live_api.url}/student/s-1/export", headers=headers, timeout=live_api.timeout)
    assert archive.headers["Transfer-Encoding"] == "chunked"
    with ZipFile(io.BytesIO(archive.content)) as found:
        assert found.testzip() is None
        assert "manifest.json" in found.namelist()
