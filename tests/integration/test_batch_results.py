"""The routes of a batch that was accepted: state, results, list, cancellation; and who may use them."""

import csv
import json
from typing import Any

import msgspec
import pytest

from app.audit.entry import Entry
from app.batches.batch import CHUNK_STUDENTS, BatchKey
from app.batches.batch_results import all_results
from app.errors import NotFound
from app.roles import Role
from app.security.access import Principal
from tests.integration.audit_calls import trail
from tests.integration.batch_calls import BATCHES, compute, submit
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz

TEACHER: dict[str, Any] = {"role": Role.TEACHER, "subject": "t-1", "cohorts": ("c-1",)}
NDJSON, CSV = "application/x-ndjson", "text/csv"


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With students of a cohort."""
    api.record(*(quiz(student_id=f"s-{number}") for number in range(3)))
    return api


def get(api: FixedTimeApi, path: str, **caller: Any) -> Any:
    answer = api.call(f"{BATCHES}{path}", method="GET", **caller)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"]


def entries(api: FixedTimeApi) -> list[Entry]:
    """The audit trail, the oldest first."""
    return [msgspec.convert(each, Entry) for each in trail(api)]


def given(count: int) -> list[Any]:
    """Students that need no facts."""
    return [{"student_id": f"g-{number}", "components": {"quiz": 0.5}} for number in range(count)]


def test_the_state_follows_the_batch(api: FixedTimeApi) -> None:
    """Queued, running with its progress, then done with a summary; it says when to ask again while it runs."""
    submit(api, students=given(CHUNK_STUDENTS + 1), as_of="2026-10-27")
    queued = api.call(f"{BATCHES}/b-1", method="GET")
    assert queued.headers["Retry-After"] == "1"
    assert queued.get_json()["data"]["status"] == "queued"
    compute(api, "b-1", steps=1)
    running = get(api, "/b-1")
    assert (running["status"], running["progress"], running["as_of"]) == ("running", 250 / 251, "2026-10-27")
    assert running["started_at"] is not None
    assert running["summary"] is None
    compute(api, "b-1")
    done = api.call(f"{BATCHES}/b-1", method="GET")
    assert "Retry-After" not in done.headers
    state = done.get_json()["data"]
    assert (state["status"], state["succeeded"], state["failed"], state["progress"]) == ("succeeded", 251, 0, 1.0)
    assert (state["summary"]["mean"], state["summary"]["levels"]["beginner"]) == (0.15, 251)
    assert state["finished_at"] >= state["started_at"] >= state["created_at"]


def test_results_are_those_of_queries(api: FixedTimeApi) -> None:
    """Each as POST /mastery/query answers it."""
    submit(api, cohort_id="c-1")
    compute(api, "b-1")
    asked = [api.post("/mastery/query", {"student_id": f"s-{number}"}).get_json()["data"] for number in range(3)]
    assert get(api, "/b-1/results") == {"results": asked, "next": None}


def test_results_come_by_page(api: FixedTimeApi) -> None:
    """The cursor continues where the page before ended, also within a chunk."""
    submit(api, students=given(CHUNK_STUDENTS + 120))
    compute(api, "b-1")
    found: list[str] = []
    cursor: str | None = "0"
    pages = 0
    while cursor is not None:
        page = get(api, f"/b-1/results?limit=100&cursor={cursor}")
        found += [each["student_id"] for each in page["results"]]
        cursor, pages = page["next"], pages + 1
    assert found == [f"g-{number}" for number in range(CHUNK_STUDENTS + 120)]
    assert pages == 4


def test_a_page_of_a_running_batch_ends_where_it_is_not_computed(api: FixedTimeApi) -> None:
    """It can be asked for again from there."""
    submit(api, students=given(2 * CHUNK_STUDENTS))
    assert get(api, "/b-1/results") == {"results": [], "next": "0"}
    compute(api, "b-1", steps=1)
    page = get(api, "/b-1/results?limit=500")
    assert (len(page["results"]), page["next"]) == (CHUNK_STUDENTS, "250")
    compute(api, "b-1")
    page = get(api, "/b-1/results?limit=500&cursor=250")
    assert (len(page["results"]), page["next"]) == (CHUNK_STUDENTS, None)


def test_only_those_that_failed(api: FixedTimeApi) -> None:
    """As JSON and as CSV, with the reason."""
    submit(api, students=["s-0", "s-1", *given(2)])
    api.engine.redis.delete(api.engine.mastery.facts.record_key("t-1", "s-1"))
    compute(api, "b-1")
    failed = {"student_id": "s-1", "error": "no evidence of such a student"}
    assert get(api, "/b-1/results?only=failed") == {"results": [failed], "next": None}
    answer = api.call(f"{BATCHES}/b-1/results?only=failed", method="GET", headers={"Accept": CSV})
    assert [(row["student_id"], row["error"], row["score"]) for row in csv.DictReader(answer.text.splitlines())] == [
        ("s-1", "no evidence of such a student", "")
    ]
    assert get(api, "/b-1")["status"] == "partly_failed"


@pytest.mark.parametrize("kind", [NDJSON, CSV])
def test_all_results_in_one_answer(api: FixedTimeApi, kind: str) -> None:
    """In the order of the batch; the audit trail has every student of it."""
    students = [*given(5 * CHUNK_STUDENTS), "s-0"]
    submit(api, students=students)
    compute(api, "b-1")
    answer = api.call(f"{BATCHES}/b-1/results", method="GET", headers={"Accept": kind})
    assert answer.headers["Content-Type"].partition(";")[0] == kind
    lines = answer.text.splitlines()
    rows = list(csv.DictReader(lines)) if kind == CSV else list(map(json.loads, lines))
    assert [row["student_id"] for row in rows] == [f"g-{number}" for number in range(5 * CHUNK_STUDENTS)] + ["s-0"]
    assert float(rows[-1]["score"]) == 0.24
    assert sum(each.students for each in entries(api) if each.action == "batch.results") == len(students)


def test_all_results_are_there_only_at_the_end(api: FixedTimeApi) -> None:
    """409 before, as a file with a part of them could be taken for all."""
    submit(api, students=given(1))
    answer = api.call(f"{BATCHES}/b-1/results", method="GET", headers={"Accept": CSV})
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")


def test_a_cancelled_batch_keeps_what_it_has(api: FixedTimeApi) -> None:
    """Cancelling twice is one cancellation; a batch that is done cannot be cancelled."""
    submit(api, students=given(2 * CHUNK_STUDENTS))
    compute(api, "b-1", steps=1)
    for _ in range(2):
        answer = api.call(f"{BATCHES}/b-1", method="DELETE")
        assert (answer.status_code, answer.get_json()["data"]["status"]) == (200, "cancelled"), answer.text
    compute(api, "b-1")
    assert get(api, "/b-1")["succeeded"] == CHUNK_STUDENTS
    page = get(api, "/b-1/results?limit=500")
    assert (len(page["results"]), page["next"]) == (CHUNK_STUDENTS, None)
    submit(api, "b-2", students=given(1))
    compute(api, "b-2")
    assert api.call(f"{BATCHES}/b-2", method="DELETE").status_code == 409


def test_callers_list_their_own_batches(api: FixedTimeApi) -> None:
    """By page, the newest first."""
    for number in range(3):
        submit(api, f"b-{number}", students=given(1))
    api.post(BATCHES, {"compute": "mastery", "batch_id": "t-b", "cohort_id": "c-1"}, **TEACHER)
    first = get(api, "?limit=2")
    second = get(api, f"?limit=2&cursor={first['next']}")
    assert [each["batch_id"] for each in (*first["batches"], *second["batches"])] == ["b-2", "b-1", "b-0"]
    assert second["next"] is None
    assert [each["batch_id"] for each in get(api, "", **TEACHER)["batches"]] == ["t-b"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/b-1"), ("GET", "/b-1/results"), ("DELETE", "/b-1")])
def test_a_batch_is_its_owner_s_and_the_admins(api: FixedTimeApi, method: str, path: str) -> None:
    """For others it is forbidden, and in other tenants there is none."""
    api.post(BATCHES, {"compute": "mastery", "batch_id": "b-1", "cohort_id": "c-1"}, **TEACHER)

    def status(**caller: Any) -> int:
        return api.call(f"{BATCHES}{path}", method=method, **caller).status_code

    assert status(**TEACHER | {"subject": "t-2"}) == 403
    assert status(role=Role.STUDENT, subject="s-1") == 403
    assert status(role=Role.SERVICE) == 403
    assert status(tenant="t-2") == 404
    assert status(**TEACHER) == 200
    assert status() == 200


def test_a_teacher_no_longer_sees_students_who_left(api: FixedTimeApi) -> None:
    """Neither by page nor in a file; an admin does. A student without facts is seen by the error."""
    api.post(BATCHES, {"compute": "mastery", "batch_id": "b-1", "students": ["s-0", "s-1", "s-2"]}, **TEACHER)
    api.engine.redis.delete(api.engine.mastery.facts.record_key("t-1", "s-2"))
    compute(api, "b-1")
    api.record(quiz(student_id="s-0", cohort_id="c-2", timestamp="2026-10-28T09:00:00Z"))

    def seen(**caller: Any) -> list[list[str]]:
        page = [each["student_id"] for each in get(api, "/b-1/results", **caller)["results"]]
        answer = api.call(f"{BATCHES}/b-1/results", method="GET", headers={"Accept": NDJSON}, **caller)
        return [page, [json.loads(line)["student_id"] for line in answer.text.splitlines()]]

    assert seen(**TEACHER) == [["s-1", "s-2"]] * 2
    assert seen() == [["s-0", "s-1", "s-2"]] * 2


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?cursor=x", "cursor"),
        ("?limit=101", "limit"),
        ("/b-1/results?limit=501", "limit"),
        ("/b-1/results?cursor=-1", "cursor"),
        ("/b-1/results?only=succeeded", "only"),
        ("/b-1/results?other=1", "other"),
    ],
)
def test_invalid_queries_are_refused_by_field(api: FixedTimeApi, path: str, field: str) -> None:
    """422."""
    submit(api, students=given(1))
    answer = api.call(f"{BATCHES}{path}", method="GET")
    assert (answer.status_code, set(answer.get_json()["error"]["details"])) == (422, {field})


@pytest.mark.parametrize("path", ["/b-9", "/b-9/results", "/b%209"])
def test_an_unknown_batch(api: FixedTimeApi, path: str) -> None:
    """404."""
    assert api.call(f"{BATCHES}{path}", method="GET").status_code == 404


def test_requests_are_in_the_audit_trail(api: FixedTimeApi) -> None:
    """With the batch, and the students of a page."""
    submit(api, students=["s-0", "s-1"])
    compute(api, "b-1")
    get(api, "/b-1/results?limit=1")
    api.call(f"{BATCHES}/b-1", method="DELETE")
    found = [(each.action, each.outcome, each.students, each.details) for each in entries(api)]
    about = {"batch_id": "b-1"}
    assert found == [("batch.create", "accepted", 0, about), ("batch.results", "done", 1, about)]


def test_a_batch_without_known_students_is_not_at_its_end(api: FixedTimeApi) -> None:
    """The cursor says to ask again."""
    submit(api, cohort_id="c-1")
    assert get(api, "/b-1/results") == {"results": [], "next": "0"}


def test_nobody_gets_a_summary_of_few_students(api: FixedTimeApi) -> None:
    """It would tell much about each of them."""
    for batch_id, students in (("b-3", ["s-0", "s-1", "s-2"]), ("b-5", ["s-0", *(f"t-{number}" for number in range(4))])):
        api.record(*(quiz(student_id=student) for student in students))
        api.post(BATCHES, {"compute": "mastery", "batch_id": batch_id, "students": students}, **TEACHER)
        compute(api, batch_id)
    assert get(api, "/b-3", **TEACHER)["summary"] is None
    assert get(api, "/b-5", **TEACHER)["summary"] is not None
    assert (get(api, "/b-3")["summary"], get(api, "/b-5")["summary"] is None) == (None, False)


def test_results_that_are_removed_while_they_are_read(api: FixedTimeApi) -> None:
    """The answer is not complete, and says so by an error."""
    submit(api, students=given(9 * CHUNK_STUDENTS))
    compute(api, "b-1")
    key = BatchKey("t-1", "b-1")
    caller = Principal("tester", Role.ADMIN, "t-1")
    found = api.engine.batches.read(key)
    facts, consents = api.engine.mastery.facts, api.engine.consents
    parts = all_results(found, caller, batches=api.engine.batches, facts=facts, consents=consents)
    assert len(next(parts)) == 4 * CHUNK_STUDENTS
    api.engine.batches.delete(key, api.engine.clock())
    with pytest.raises(NotFound):
        list(parts)
