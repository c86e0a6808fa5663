"""One log line for each request, with the correlation id, and without personal data."""

import logging
import re
from typing import Any

import pytest

from app.roles import Role
from tests.integration.conftest import FixedTimeApi, LiveApi
from tests.learning_events import quiz
from tests.stack import wait_for

LINE = re.compile(r"(?P<method>\S+) (?P<rule>\S+) (?P<status>\d{3}) \d+\.\d ms (?P<id>\S+)")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """The parts of each line."""
    found = [LINE.fullmatch(record.getMessage()) for record in caplog.records if record.name == "api.request_log"]
    return [each.groupdict() for each in found if each is not None]


@pytest.mark.parametrize(
    ("method", "path", "body", "caller", "status", "rule"),
    [
        ("POST", "/mastery/query", {"student_id": "s-1"}, {}, 200, "/mastery/query"),
        ("POST", "/mastery/query", {"student_id": "jane-doe"}, {}, 404, "/mastery/query"),
        ("POST", "/mastery/query", {"jane-doe": 1}, {}, 422, "/mastery/query"),
        ("POST", "/mastery/query", {"student_id": "jane-doe"}, {"role": Role.STUDENT, "subject": "s-1"}, 403, "/mastery/query"),
        ("GET", "/audit?student_id=jane-doe", None, {"subject": "jane-doe"}, 200, "/audit"),
        ("GET", "/predictions/at-risk?cohort_id=jane-doe", None, {}, 404, "/predictions/at-risk"),
        ("GET", "/analytics/cohorts?cursor=jane-doe", None, {}, 200, "/analytics/cohorts"),
        ("GET", "/analytics/cohorts/jane-doe", None, {}, 404, "/analytics/cohorts/<identifier:cohort_id>"),
        ("GET", "/tasks/5d1c6c9e-5b43-4a35-9d5b-3f1a9c7f4a10", None, {}, 404, "/tasks/<uuid:task_id>"),
        ("GET", "/pupil/jane-doe", None, {}, 404, "no-route"),
        ("GET", "/student/jane-doe/erasure", None, {}, 404, "/student/<identifier:student_id>/erasure"),
        ("PUT", "/mastery/query", {"student_id": "jane-doe"}, {}, 405, "no-route"),
        ("JANE-DOE", "/health", None, {}, 405, "no-route"),
    ],
)
def test_a_line_for_each_request(
    api: FixedTimeApi,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    body: Any,
    caller: dict[str, Any],
    status: int,
    rule: str,
) -> None:
    """Method, route, status, time and correlation id; no path, query, subject or student."""
    api.record(quiz())
    caplog.set_level(logging.INFO)
    answer = api.call(path, body, method=method, **caller)
    shown = method if method.isalpha() else "other-method"
    expected = {"method": shown, "rule": rule, "status": str(status), "id": answer.headers["X-Correlation-ID"]}
    assert (answer.status_code, lines(caplog)) == (status, [expected])
    assert "jane-doe" not in caplog.text.lower()


def test_a_probe_that_is_answered_well_has_none(api: FixedTimeApi, caplog: pytest.LogCaptureFixture) -> None:
    """Probes come every second or so, and would hide other lines."""
    caplog.set_level(logging.INFO)
    assert (api.call("/health", None, method="GET").status_code, lines(caplog)) == (200, [])
    assert [api.call("/ready", None, method="GET").status_code] == [
        int(each["status"]) for each in lines(caplog)
    ]  # there is no worker


def test_what_fails_has_a_line(api: FixedTimeApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Internal errors and failed audit writes are logged with the status that is sent."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("api.mastery.query_mastery", lambda *_, **__: 1 / 0)
    api.post("/mastery/query", {"student_id": "s-1"})
    assert [line["status"] for line in lines(caplog)] == ["500"]


def test_a_request_is_found_in_the_logs(live_api: LiveApi) -> None:
    """The caller's correlation id is in the stack's output."""
    name = f"find-me-{live_api.tenant}"
    live_api.post("/mastery/query", {"student_id": "s-1"}, headers={"X-Correlation-ID": name})
    line = re.compile(rf"INFO api\.request_log: POST /mastery/query 404 \d+\.\d ms {name}$", re.MULTILINE)
    wait_for(lambda: line.search(live_api.stack.log()) is not None, 10)
