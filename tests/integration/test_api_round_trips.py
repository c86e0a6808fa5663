"""How often the routes about one student's record call Redis, which is most of the time that they take."""

from typing import Any

import pytest
import redis

from app.analytics.publish_statistics import publish_statistics
from app.clock import day_number
from app.roles import Role
from tests.conftest import NOW
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz

QUERY = {"student_id": "s-1"}
OF_A_RECORD = {
    "/mastery/query": QUERY,
    "/analytics/changes": QUERY | {"since": "2026-10-20"},
    "/analytics/mastery-history": QUERY | {"start_date": "2026-10-01", "end_date": "2026-10-28"},
}


@pytest.mark.parametrize(("path", "body"), OF_A_RECORD.items())
@pytest.mark.parametrize(("role", "round_trips"), [(Role.STUDENT, 2), (Role.TEACHER, 3), (Role.ADMIN, 3)])
def test_round_trips(
    api: FixedTimeApi, monkeypatch: pytest.MonkeyPatch, role: Role, round_trips: int, path: str, body: dict[str, str]
) -> None:
    """Limit, revocation and the own record take one round trip, the record of another student one more, the audit entry one."""
    api.record(quiz())
    assert round_trips_of(api, monkeypatch, path, body, role) == round_trips


@pytest.mark.parametrize(("role", "round_trips"), [(Role.STUDENT, 3), (Role.TEACHER, 4), (Role.ADMIN, 4)])
def test_round_trips_of_a_comparison(api: FixedTimeApi, monkeypatch: pytest.MonkeyPatch, role: Role, round_trips: int) -> None:
    """One more, however many metrics are compared: what the cohort has."""
    api.record(*(quiz(student_id=f"s-{number}") for number in range(1, 7)))
    engine, today = api.engine, day_number(NOW)
    assert list(publish_statistics("t-1", stores=engine.mastery, published=engine.published, today=today)) == [6]
    body = QUERY | {"metric": "by_component"}
    assert round_trips_of(api, monkeypatch, "/analytics/compare", body, role) == round_trips


def round_trips_of(api: FixedTimeApi, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, str], role: Role) -> int:
    """How often a request that succeeds calls Redis."""
    caller: dict[str, Any] = {"role": role, "subject": "s-1", "cohorts": ("c-1",) if role is Role.TEACHER else ()}
    api.post(path, body, **caller)  # after which connections and scripts exist
    sent: list[object] = []
    send: Any = redis.Connection.send_packed_command

    def noted(connection: redis.Connection, command: Any, *arguments: Any, **options: Any) -> None:
        sent.append(command)
        send(connection, command, *arguments, **options)

    monkeypatch.setattr(redis.Connection, "send_packed_command", noted)
    assert api.post(path, body, **caller).status_code == 200
    return len(sent)
