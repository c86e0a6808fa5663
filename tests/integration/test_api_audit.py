"""Callers' actions are in the audit trail before they get their response."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from app.config.settings import Settings
from app.roles import Role
from app.security.tokens import development_token
from tests.integration.audit_calls import QUERY, trail
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz


@pytest.fixture
def settings(settings: Settings, kafka_bootstrap: str) -> Settings:
    """With a topic for the events that a test sends."""
    return replace(settings, kafka_bootstrap=kafka_bootstrap, events_topic=f"events-{uuid4().hex}")


class TestEntries:
    """Each request of an authenticated caller that did something, or was denied."""

    def test_a_query_says_who_asked_about_whom(self, api: FixedTimeApi) -> None:
        """It has the time, the action, the outcome, and the response's correlation id."""
        api.record(quiz())
        answer = api.post("/mastery/query", QUERY)
        assert trail(api) == [
            {
                "sequence": 1,
                "at": "2026-10-28T12:00:00.000Z",
                "channel": "api",
                "role": "admin",
                "who": "tester",
                "action": "mastery.query",
                "whose": [api.engine.audit.pseudonym("t-1", "s-1")],
                "outcome": "done",
                "correlation_id": answer.headers["X-Correlation-ID"],
            }
        ]

    @pytest.mark.parametrize(
        ("path", "body", "caller", "status", "expected"),
        [
            ("/mastery/query", QUERY, {}, 200, ("mastery.query", "done", ["s-1"])),
            ("/mastery/query", {"student_id": "s-none"}, {}, 404, ("mastery.query", "not_found", ["s-none"])),
            (
                "/mastery/query",
                QUERY,
                {"role": Role.TEACHER, "cohorts": ("other",)},
                403,
                ("mastery.query", "denied", ["s-1"]),
            ),
            ("/mastery/query", QUERY, {"role": Role.STUDENT, "subject": "s-2"}, 403, ("mastery.query", "denied", ["s-1"])),
            ("/mastery/query", QUERY, {"role": Role.SERVICE}, 403, ("mastery.query", "denied", [])),
            (
                "/mastery/calculate",
                QUERY | {"components": {"quiz": 1}},
                {},
                200,
                ("mastery.calculate", "done", ["s-1"]),
            ),
            ("/mastery/calculate", {"student_id": "s-none"}, {}, 404, ("mastery.calculate", "not_found", ["s-none"])),
            ("/mastery/ingest", {"event": {}}, {"role": Role.TEACHER}, 403, ("mastery.ingest", "denied", [])),
            ("/audit", None, {}, 200, ("audit.read", "done", [])),
            ("/audit?student_id=s-1", None, {}, 200, ("audit.read", "done", ["s-1"])),
            ("/audit", None, {"role": Role.TEACHER}, 403, ("audit.read", "denied", [])),
            ("/audit", None, {"role": Role.STUDENT, "subject": "s-1"}, 403, ("audit.read", "denied", [])),
            ("/audit", None, {"role": Role.SERVICE}, 403, ("audit.read", "denied", [])),
            (f"/tasks/{'0' * 8}-0000-4000-8000-{'0' * 12}", None, {}, 404, ("task.read", "not_found", [])),
            ("/auth/revoke", {}, {"subject": "leaver"}, 200, ("auth.revoke-own", "done", [])),
            ("/auth/revoke", {"subject": "s-9"}, {}, 200, ("auth.revoke", "done", ["s-9"])),
            ("/student/s-1/export", None, {}, 200, ("student.export", "done", ["s-1"])),
            ("/student/s-none/export", None, {}, 404, ("student.export", "not_found", ["s-none"])),
            ("/student/s-1/export", None, {"role": Role.STUDENT, "subject": "s-2"}, 403, ("student.export", "denied", ["s-1"])),
            ("/student/s-1/consent", None, {}, 200, ("consent.read", "done", ["s-1"])),
            ("/student/s-none/consent", None, {}, 404, ("consent.read", "not_found", ["s-none"])),
            (
                "/student/s-1/consent",
                None,
                {"role": Role.TEACHER, "cohorts": ("c-1",)},
                403,
                ("consent.read", "denied", ["s-1"]),
            ),
            ("/auth/revoke", {"subject": "s-9"}, {"role": Role.TEACHER}, 403, ("auth.revoke", "denied", ["s-9"])),
        ],
    )
    def test_every_route_leaves_one(
        self, api: FixedTimeApi, path: str, body: Any, caller: dict[str, Any], status: int, expected: tuple[str, str, list[str]]
    ) -> None:
        """This includes what was denied or not found."""
        api.record(quiz())
        assert api.call(path, body, method="GET" if body is None else "POST", **caller).status_code == status
        action, outcome, students = expected
        (entry,) = trail(api)
        assert (entry["action"], entry["outcome"]) == (action, outcome)
        assert entry.get("whose", []) == [api.engine.audit.pseudonym("t-1", student) for student in students]
        assert entry["role"] == caller.get("role", Role.ADMIN)

    @pytest.mark.parametrize("caller", [{"role": Role.TEACHER, "cohorts": ("c-1",)}, {"role": Role.SERVICE}])
    @pytest.mark.parametrize(
        ("method", "path", "action"),
        [
            ("DELETE", "/student/s-1", "student.erase"),
            ("GET", "/student/s-1/erasure", "student.erasure"),
            ("GET", "/student/s-1/export", "student.export"),
            ("GET", "/student/s-1/consent", "consent.read"),
            ("PUT", "/student/s-1/consent", "consent.change"),
        ],
    )
    def test_a_refused_role_leaves_whose_data_it_was_about(
        self, api: FixedTimeApi, method: str, path: str, action: str, caller: dict[str, Any]
    ) -> None:
        """The student is in the path: their pseudonym is in the entry, although no view was called."""
        body = {"predictions": False} if method == "PUT" else None
        assert api.call(path, body, method=method, **caller).status_code == 403
        (entry,) = trail(api)
        assert (entry["action"], entry["outcome"], entry["role"]) == (action, "denied", caller["role"])
        assert entry["whose"] == [api.engine.audit.pseudonym("t-1", "s-1")]

    def test_a_student_who_asks_has_their_pseudonym(self, api: FixedTimeApi) -> None:
        """The student's id in clear would reveal the pseudonym beside it."""
        api.record(quiz())
        assert api.post("/mastery/query", QUERY, role=Role.STUDENT, subject="s-1").status_code == 200
        (entry,) = trail(api)
        assert [entry["who"]] == entry["whose"] == [api.engine.audit.pseudonym("t-1", "s-1")]

    def test_events_say_whom_they_are_about(self, api: FixedTimeApi) -> None:
        """Each student appears once, and only those whose events were accepted."""
        events = [
            quiz(student_id="s-7"),
            quiz(student_id="s-8"),
            quiz(student_id="s-7"),
            {"student_id": "s-9"},
            {"student_id": 5},
        ]
        assert api.post("/mastery/ingest", {"events": [*events, 7]}, role=Role.SERVICE).status_code == 202
        (entry,) = trail(api)
        assert (entry["action"], entry["outcome"], entry["role"]) == ("mastery.ingest", "accepted", "service")
        assert entry["whose"] == [api.engine.audit.pseudonym("t-1", student) for student in ("s-7", "s-8")]

    def test_a_batch_is_found_by_each_of_its_students(self, api: FixedTimeApi) -> None:
        """Its entry is small, and has their number."""
        events = [quiz(student_id=f"s-{number}") for number in range(300)]
        assert api.post("/mastery/ingest", {"events": events}, role=Role.SERVICE).status_code == 202

        def found(student_id: str) -> list[int]:
            path = f"/audit?action=mastery.ingest&student_id={student_id}"
            return [each["students"] for each in api.call(path, method="GET").get_json()["data"]["entries"]]

        assert [[300], [300], []] == [found("s-3"), found("s-299"), found("s-300")]

    def test_a_repeated_request_says_it_too(self, api: FixedTimeApi) -> None:
        """This also holds if the stored response is returned without running the view."""
        body = {"events": [quiz(student_id="s-7"), {"student_id": "s-9"}]}
        answers = [api.call("/mastery/ingest", body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert answers[1].headers["Idempotent-Replayed"] == "true"
        first, second = trail(api)
        assert first["whose"] == second["whose"] == [api.engine.audit.pseudonym("t-1", "s-7")]

    def test_a_revoked_token_is_denied(self, api: FixedTimeApi) -> None:
        """The caller and the attempted action are known."""
        token = development_token(api.engine.settings, role=Role.ADMIN, tenant="t-1", subject="leaver", now=datetime.now(UTC))
        headers = {"Authorization": f"Bearer {token}"}
        assert api.client.post("/auth/revoke", json={}, headers=headers).status_code == 200
        assert api.client.post("/mastery/query", json=QUERY, headers=headers).status_code == 401
        assert [(entry["action"], entry["outcome"], entry["who"]) for entry in trail(api)] == [
            ("auth.revoke-own", "done", "leaver"),
            ("mastery.query", "denied", "leaver"),
        ]

    def test_what_failed_is_there(self, api: FixedTimeApi) -> None:
        """After an internal error the caller may have seen nothing, but the attempt is recorded."""
        api.engine.redis.set(f"{api.engine.settings.key_prefix}:{{t-1}}:student:s-1", "no record")
        assert api.post("/mastery/query", QUERY).status_code == 500
        assert [(entry["outcome"], len(entry["whose"])) for entry in trail(api)] == [("failed", 1)]

    @pytest.mark.parametrize(
        "send",
        [
            lambda api: api.client.post("/mastery/query", json=QUERY),
            lambda api: api.client.post("/mastery/query", json=QUERY, headers={"Authorization": "Bearer x"}),
            lambda api: api.client.get("/health"),
            lambda api: api.client.get("/nowhere"),
            lambda api: api.call("/nowhere"),
            lambda api: api.call("/mastery/query", method="GET"),
            lambda api: api.call("/mastery/query", {"student_id": "/"}),
            lambda api: api.call("/mastery/query", QUERY | {"date": "2030-01-01"}),
            lambda api: api.call("/mastery/ingest", {"events": [{"student_id": "s-1"}]}),
            lambda api: api.call("/audit?limit=0", method="GET"),
        ],
    )
    def test_what_touched_nobodys_data_leaves_none(
        self, api: FixedTimeApi, send: Callable[[FixedTimeApi], TestResponse]
    ) -> None:
        """Unauthenticated callers, unknown routes and invalid bodies leave no entry."""
        api.record(quiz())
        assert send(api).status_code in {200, 401, 404, 405, 422}
        assert trail(api) == []

    def test_no_students_id_is_in_clear(self, api: FixedTimeApi) -> None:
        """Whatever is done by anybody, no student id is in a key or a value of the trail."""
        name = "unmistakable-student"
        about = {"student_id": name}
        api.record(quiz(**about))
        own: dict[str, Any] = {"role": Role.STUDENT, "subject": name}
        callers: list[dict[str, Any]] = [
            {},
            own,
            {"role": Role.TEACHER, "cohorts": ("c-1",)},
            {"role": Role.STUDENT, "subject": "s-2"},
        ]
        for caller in callers:
            for path, body in (
                ("/mastery/query", about),
                ("/mastery/calculate", about | {"components": {}}),
                ("/mastery/ingest", {"event": quiz(**about)}),
                ("/mastery/ingest", {"event": about}),
                ("/auth/revoke", {"subject": name}),
            ):
                api.call(path, body, **caller)
            api.call(f"/audit?student_id={name}", method="GET", **caller)
        api.call("/auth/revoke", {}, **own)
        assert len(trail(api)) > 10
        for key in api.engine.redis.keys(f"{api.engine.settings.key_prefix}:*audit*"):
            assert name not in str(key)
            assert name.encode() not in (api.engine.redis.dump(key) or b"")
        assert name not in str(list(api.engine.audit.oldest_first("t-1")))

    def test_the_entry_of_one_tenant_is_not_in_the_trail_of_another(self, api: FixedTimeApi) -> None:
        """It is in the trail of the token's tenant."""
        api.post("/mastery/query", QUERY, tenant="t-2")
        assert (len(trail(api, "t-2")), trail(api)) == (1, [])


@pytest.fixture
def blocked(api: FixedTimeApi) -> FixedTimeApi:
    """Data that can be read, and a trail that cannot be written."""
    api.record(quiz())
    api.engine.redis.set(f"{api.engine.settings.key_prefix}:{{t-1}}:audit", "in the way")
    return api


class TestNoEntryNoAnswer:
    """Without an audit entry there is no response with data."""

    @pytest.mark.parametrize(
        ("path", "body", "caller"),
        [
            ("/mastery/query", QUERY, {}),
            ("/mastery/query", {"student_id": "s-none"}, {}),
            ("/mastery/query", QUERY, {"role": Role.SERVICE}),
            ("/mastery/calculate", QUERY | {"components": {}}, {}),
        ],
    )
    def test_nobody_gets_anything(
        self, blocked: FixedTimeApi, path: str, body: Any, caller: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Callers get neither data nor whether it exists: 503 in the envelope, and the log has the reason."""
        answer = blocked.call(path, body, **caller)
        assert answer.status_code == 503
        assert answer.get_json()["error"] == {
            "code": "SERVICE_UNAVAILABLE",
            "message": "A part of the service does not answer; try again.",
            "details": {},
        }
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "audit trail cannot be written" in caplog.text
        assert "WRONGTYPE" in caplog.text
        assert "s-1" not in caplog.text

    def test_others_are_not_affected(self, blocked: FixedTimeApi) -> None:
        """Another tenant has another trail."""
        assert blocked.post("/mastery/query", QUERY, tenant="t-2").status_code == 404

    def test_a_failure_stays_what_it_was(self, blocked: FixedTimeApi, caplog: pytest.LogCaptureFixture) -> None:
        """There is no data to withhold; the log says that the entry is missing."""
        blocked.engine.redis.set(f"{blocked.engine.settings.key_prefix}:{{t-1}}:student:s-1", "no record")
        answer = blocked.post("/mastery/query", QUERY)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (500, "INTERNAL_ERROR")
        assert "audit trail cannot be written" in caplog.text

    def test_a_mistake_in_writing_gives_nothing_away(self, api: FixedTimeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        """An unexpected error is a 500 in the envelope, without the data."""
        api.record(quiz())
        monkeypatch.setattr("api.request_audit.actor", lambda _who: 1 / 0)
        answer = api.post("/mastery/query", QUERY)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (500, "INTERNAL_ERROR")
        assert "score" not in answer.text
