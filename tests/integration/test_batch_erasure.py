"""Students who were erased are in no answer about a batch, and in nothing that is kept of its request."""

import csv
import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.storage.erased import Erased
from tests.contracts.batch_erasures import everything
from tests.integration.batch_calls import BATCHES, compute
from tests.integration.conftest import FixedTimeApi
from tests.integration.test_batch_results import CSV, NDJSON, TEACHER, get
from tests.learning_events import quiz


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With seven students of a cohort."""
    api.record(*(quiz(student_id=f"s-{number}") for number in range(7)))
    return api


def test_an_erased_student_is_in_no_answer(api: FixedTimeApi) -> None:
    """Neither by page nor in a file, for whoever asks; the state counts the student, and the summary has the others."""
    students = [f"s-{number}" for number in range(7)]
    api.post(BATCHES, {"compute": "mastery", "batch_id": "b-1", "students": students}, **TEACHER)
    compute(api, "b-1")
    facts = api.engine.mastery.facts
    api.engine.redis.delete(*(facts.record_key("t-1", student) for student in ("s-0", "s-4")))
    assert api.engine.batch_erasure.erase("t-1", ["s-0", "s-4"]) == Erased(2)

    def seen(**caller: Any) -> Iterator[list[str]]:
        yield [each["student_id"] for each in get(api, "/b-1/results?limit=3", **caller)["results"]]
        yield [each["student_id"] for each in get(api, "/b-1/results?limit=3&cursor=3", **caller)["results"]]
        yield [each["student_id"] for each in get(api, "/b-1/results?only=failed", **caller)["results"]]
        for kind in (NDJSON, CSV):
            answer = api.call(f"{BATCHES}/b-1/results", method="GET", headers={"Accept": kind}, **caller)
            lines = answer.text.splitlines()
            rows = list(csv.DictReader(lines)) if kind == CSV else list(map(json.loads, lines))
            yield [row["student_id"] for row in rows]

    left = ["s-1", "s-2", "s-3", "s-5", "s-6"]
    for caller in ({}, TEACHER):
        assert list(seen(**caller)) == [left[:3], left[2:], [], left, left]
        state = get(api, "/b-1", **caller)
        assert (state["total"], state["succeeded"], state["failed"], state["erased"]) == (7, 5, 0, 2)
        assert sum(state["summary"]["levels"].values()) == 5
    assert api.engine.batch_erasure.erase("t-1", ["s-1"]) == Erased(1)
    assert get(api, "/b-1", **TEACHER)["summary"] is None  # it is of fewer than five


def test_nothing_of_an_erased_student_is_stored(api: FixedTimeApi) -> None:
    """Neither in the batch nor in what is kept of the request: the answer for its key, the rejected students, the callback."""
    api.engine.webhook_secrets.create("t-1")
    listed = ["s-0", "s-0", {"student_id": "s-1", "components": {"quiz": 0.5}}, {"student_id": "s-1", "more": 1}, "s-2"]
    body = {"compute": "mastery", "students": listed, "callback_url": "https://lms.example/"}
    first = api.post(BATCHES, body, headers={"Idempotency-Key": "key"})
    batch_id = first.get_json()["data"]["batch_id"]
    compute(api, batch_id)
    for number, student in enumerate(("s-0", "s-1")):
        api.engine.mastery.facts.erase("t-1", {student: 2 * 10**15})
        assert api.engine.batch_erasure.erase("t-1", [student]) == Erased(1)
        assert get(api, f"/{batch_id}")["erased"] == number + 1
    api.engine.redis.delete(f"{api.engine.settings.key_prefix}:{{t-1}}:changes")  # the outbox has an erasure of its own
    left = everything(api.engine)
    assert [student for student in ("s-0", "s-1", "s-2") if student.encode() in left] == ["s-2"]
    again = api.post(BATCHES, body, headers={"Idempotency-Key": "key"})
    assert [each["index"] for each in again.get_json()["data"]["rejected"]] == [1, 3]
    assert again.get_json()["data"]["batch_id"] == batch_id
    assert api.engine.callbacks.claim(60) is not None
